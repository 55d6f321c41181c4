"""A folder where nothing of this machine's user is seen."""

from tests.harness.here import here

__all__ = ["here"]
