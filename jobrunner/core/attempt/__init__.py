"""What surrounds the work of a stage: context, progress, metrics, log, release."""
