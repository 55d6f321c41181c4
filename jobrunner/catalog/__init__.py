"""Facts about languages, models, corpora and GPUs. Nothing here reads files or uses the network."""
