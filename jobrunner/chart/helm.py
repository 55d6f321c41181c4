"""Helm's engine: `helm-python-sdk` in this process, or the `helm` binary if the SDK is missing.

No other file uses either of them. Nothing here contacts a cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from jobrunner.errors import UsageError

# Rendering one run takes 10 ms, and starting the binary 100 ms.
_SECONDS_FOR_BINARY = 60


def render(chart: Path, values: dict[str, Any], *, release: str, namespace: str) -> str:
    """The chart's manifests as one stream of YAML documents.

    Helm's engine checks the values against the chart's `values.schema.json`.

    Args:
        chart: folder of the chart.
        values: overrides of its `values.yaml`; anything that JSON can express.
        release: name of the release.
        namespace: namespace of the release.

    Raises:
        UsageError: the schema refuses the values, the chart cannot be rendered, or Helm is missing.
    """
    engine = _render_in_process if _has_library() else _render_by_binary
    return engine(chart, values, release, namespace)


def _has_library() -> bool:
    """True if the SDK is installed and its library loads: it has none for some platforms."""
    try:
        import helm_python
    except ImportError:
        return False
    try:
        helm_python.helm_sdk_version()
    except helm_python.HelmLibraryError:
        return False
    return True


def _render_in_process(chart: Path, values: dict[str, Any], release: str, namespace: str) -> str:
    import helm_python

    try:
        with helm_python.Chart.load(chart) as loaded:
            rendered = loaded.render(values, name=release, namespace=namespace)
    except helm_python.HelmError as error:
        raise _refused(str(error)) from None
    # Templates in the order of their names: `---` keeps documents of different files apart.
    return "\n---\n".join(rendered[name] for name in sorted(rendered))


def _render_by_binary(chart: Path, values: dict[str, Any], release: str, namespace: str) -> str:
    helm = shutil.which("helm")
    if helm is None:
        raise UsageError(
            "Helm's engine is not installed.",
            hint="Run `pip install helm-python-sdk`, or put `helm` on the PATH.",
        )
    done = subprocess.run(
        [helm, "template", release, chart, "--namespace", namespace, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=_SECONDS_FOR_BINARY,
        check=False,
    )
    if done.returncode:
        raise _refused(done.stderr.removeprefix("Error: "))
    return done.stdout


def _refused(message: str) -> UsageError:
    line = " ".join(message.split())
    return UsageError(
        f"Helm refuses the chart: {line[:500]}",
        hint="If you changed charts/speech-run, correct it there or take it back.",
    )
