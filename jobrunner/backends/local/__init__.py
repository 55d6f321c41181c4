"""Runs as processes on this machine: one detached supervisor per run, queued by devices."""
