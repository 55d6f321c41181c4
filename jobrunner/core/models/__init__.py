"""Model families: load, collate, loss, decode."""
