"""The fixtures of tests/harness/commandline.py, for all tests of the command line."""

from tests.harness.commandline import harness, here, jobrunner

__all__ = ["harness", "here", "jobrunner"]
