"""Facts about languages, models, corpora and GPUs. Nothing here reads a file or asks a network."""
