"""A folder of one's own, for tests that load the configuration."""

from tests.harness.here import here

__all__ = ["here"]
