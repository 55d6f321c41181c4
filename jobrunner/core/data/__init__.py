"""Speech: where it comes from, how it is stored, in which order it is read."""
