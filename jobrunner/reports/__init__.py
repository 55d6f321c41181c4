"""Results of runs as a table, records, text for other programs, or a page.

results = collect(storage, ["el-whisper-medium-1f6e09ab"])
comparisons = compare(results)
table(comparisons); records(comparisons); markdown(comparisons); page(comparisons)
"""

from jobrunner.reports.collect import collect
from jobrunner.reports.plain import comma_separated, markdown
from jobrunner.reports.rows import records, table
from jobrunner.reports.save import save
from jobrunner.reports.webpage import page
from jobrunner.scoring.result import compare

__all__ = [
    "collect",
    "comma_separated",
    "compare",
    "markdown",
    "page",
    "records",
    "save",
    "table",
]
