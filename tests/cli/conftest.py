"""The fixtures of tests/harness/commandline.py, for all tests of the command line."""

from tests.harness.commandline import bench, here, jobrunner

__all__ = ["bench", "here", "jobrunner"]
