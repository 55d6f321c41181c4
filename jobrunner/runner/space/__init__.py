"""The content of storage: how much it is, whether it is sound, and how to free some of it."""
