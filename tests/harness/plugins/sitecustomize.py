"""Adds the rows of `tests/harness/rows.py` in each Python process that has this folder on its path.

The supervisor of a local run and its stages are processes of their own; in the project the rows
would simply be there.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))

from tests.harness import rows

rows.register()
