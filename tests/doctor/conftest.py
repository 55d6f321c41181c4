"""The command line, in a folder where nothing of this machine's user is seen."""

from tests.harness.commandline import here, jobrunner

__all__ = ["here", "jobrunner"]
