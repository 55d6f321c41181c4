"""Programs that stand in for stages. They are started, and never imported."""
