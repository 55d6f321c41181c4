"""Normalised texts, error rates with their intervals, and the results that hold them."""
