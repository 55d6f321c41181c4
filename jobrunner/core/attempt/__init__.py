"""Everything around the work of a stage: context, progress, metrics, log, release."""
