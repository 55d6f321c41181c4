"""The command line, in a folder where nothing of this machine's user is seen."""

from tests.harness.commandline import jobrunner
from tests.harness.here import here

__all__ = ["here", "jobrunner"]
