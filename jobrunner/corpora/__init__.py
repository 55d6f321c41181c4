"""Light readers of corpora that the client and the core share; splits and fingerprints."""
