"""Helpers that tests share: servers, stages, storages, tiny models, and harnesses of backends."""
