"""Where speech comes from: one module a source."""
