"""Flags, environment and jobrunner.toml → `RunSpec`, and the origin of each value.

flags > JOBRUNNER_* > --profile > ./jobrunner.toml > the user's jobrunner.toml > preset > default
"""

from jobrunner.config.flags import Flag
from jobrunner.config.layers import Configuration, Value, load

__all__ = ["Configuration", "Flag", "Value", "load"]
