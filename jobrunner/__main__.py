"""`python -m jobrunner`, the same as `jobrunner`."""

from jobrunner.cli import main

main()
