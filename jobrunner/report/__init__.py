"""Results of runs as a table, records or a page.

results = collect(storage, ["el-whisper-medium-1f6e09ab"])
comparisons = compare(results)
table(comparisons); records(comparisons); page(comparisons)
"""

from jobrunner.report.rows import records, table
from jobrunner.report.webpage import page
from jobrunner.result import compare
from jobrunner.storage.results import collect

__all__ = ["collect", "compare", "page", "records", "table"]
