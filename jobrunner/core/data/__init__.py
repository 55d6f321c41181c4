"""Speech: its sources, how it is prepared and stored, and how it is read."""
