"""Fine-tunes speech-recognition models, one language at a time.

    import jobrunner

    run = jobrunner.submit(lang="el", model="whisper-small", backend="local")
    for status in run.watch():
        print(status.state)
    jobrunner.report(run).to_pandas()

Importing this imports nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobrunner.catalog.installed import __version__
    from jobrunner.errors import JobrunnerError
    from jobrunner.runner.sdk import (
        Run,
        cancel,
        delete,
        diff,
        evaluate,
        export,
        logs,
        report,
        resume,
        runs,
        show,
        status,
        submit,
        transcribe,
        view,
        watch,
    )
    from jobrunner.runner.sweep import Best, Sweep, sweep
    from jobrunner.runner.tables import Report, RunList
    from jobrunner.spec import (
        ClusterSpec,
        DataSpec,
        EvaluateSpec,
        ResourcesSpec,
        RunSpec,
        Source,
        TrainSpec,
    )
    from jobrunner.states import RunStatus, StageStatus, State

__all__ = [
    "Best",
    "ClusterSpec",
    "DataSpec",
    "EvaluateSpec",
    "JobrunnerError",
    "Report",
    "ResourcesSpec",
    "Run",
    "RunList",
    "RunSpec",
    "RunStatus",
    "Source",
    "StageStatus",
    "State",
    "Sweep",
    "TrainSpec",
    "__version__",
    "cancel",
    "delete",
    "diff",
    "evaluate",
    "export",
    "logs",
    "report",
    "resume",
    "runs",
    "show",
    "status",
    "submit",
    "sweep",
    "transcribe",
    "view",
    "watch",
]

_HOMES = {
    "jobrunner.catalog.installed": ("__version__",),
    "jobrunner.errors": ("JobrunnerError",),
    "jobrunner.runner.sdk": (
        *("Run", "cancel", "delete", "diff", "evaluate", "export", "logs", "report", "resume"),
        *("runs", "show", "status", "submit", "transcribe", "view", "watch"),
    ),
    "jobrunner.runner.sweep": ("Best", "Sweep", "sweep"),
    "jobrunner.runner.tables": ("Report", "RunList"),
    "jobrunner.spec": (
        *("ClusterSpec", "DataSpec", "EvaluateSpec", "ResourcesSpec"),
        *("RunSpec", "Source", "TrainSpec"),
    ),
    "jobrunner.states": ("RunStatus", "StageStatus", "State"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jobrunner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
