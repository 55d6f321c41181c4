"""The fixtures of cli_bench.py, for all tests of the command line."""

from cli_bench import bench, here, jobrunner

__all__ = ["bench", "here", "jobrunner"]
