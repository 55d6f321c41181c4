"""The fine-tuning core, which runs in pods. No other room imports it: it starts as a process."""
