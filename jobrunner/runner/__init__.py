"""The operations that command line and Python SDK share, and the checks before them."""
