"""The fine-tuning core: what runs inside a pod. Nobody imports it; it is started as a process."""
