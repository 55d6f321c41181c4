"""One self-contained HTML page with results: no script, no font, no request."""

from jobrunner.reports.webpage.document import page
from jobrunner.reports.webpage.figures import figures

__all__ = ["figures", "page"]
