"""The verbs that the command line and the Python SDK share, and the checks before them."""
