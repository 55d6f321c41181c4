"""What storage holds: how much of it, whether it is sound, and how to free some of it."""
