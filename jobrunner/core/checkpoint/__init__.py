"""Checkpoints: complete or invisible, written in the background, fenced by claims."""
