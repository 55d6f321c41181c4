"""Fine-tunes speech-recognition models, one language at a time."""

from jobrunner.installed import __version__

__all__ = ["__version__"]
