"""Flags, environment and jobrunner.toml → `RunSpec`, and where each value came from.

flags > JOBRUNNER_* > --profile > ./jobrunner.toml > the user's jobrunner.toml > preset > default
"""

from jobrunner.config.flags import Flag
from jobrunner.config.layers import Configuration, Value, load

__all__ = ["Configuration", "Flag", "Value", "load"]
