"""Results → table, page, model card."""
