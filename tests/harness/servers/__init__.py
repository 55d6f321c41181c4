"""Real servers on this machine, and a proxy that fails as a test says."""
