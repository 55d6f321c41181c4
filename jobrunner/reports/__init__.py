"""Results of runs as a table, records or a page.

results = collect(storage, ["el-whisper-medium-1f6e09ab"])
comparisons = compare(results)
table(comparisons); records(comparisons); page(comparisons)
"""

from jobrunner.reports.collect import collect
from jobrunner.reports.rows import records, table
from jobrunner.reports.webpage import page
from jobrunner.scoring.result import compare

__all__ = ["collect", "compare", "page", "records", "table"]
