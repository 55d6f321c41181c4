"""The pages that show the SDK are executed, the notebook by a real kernel, on one small run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.harness.paths import ROOT

SECONDS = 240


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A storage and a state directory that the page and the notebook share."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "JOBRUNNER_STATE", "IPYTHONDIR"):
            patch.setenv(name, str(home / name))
        patch.setenv("KUBECONFIG", os.devnull)
        patch.chdir(ROOT)
        yield


@pytest.mark.timeout(2 * SECONDS)
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs/sdk.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=2 * SECONDS
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert re.match(r"el-whisper-micro-[0-9a-f]{8}\n2000\n", printed)
    assert "Succeeded ['prepare', 'train', 'evaluate-el']" in printed
    assert "step 20/20" in printed
    assert re.search(r"^el \d", printed, re.MULTILINE)
    assert "lead.low" in printed
    assert re.search(r"^el-\S+ \{'checkpoints': \d{6,}, 'export': \d{6,}", printed, re.MULTILINE)
    assert "damaged: []\n[]\n" in printed
    assert re.search(r"^2 lang: no language is called 'elvish'", printed, re.MULTILINE)


@pytest.mark.timeout(2 * SECONDS)
def test_every_cell_of_the_notebook_runs() -> None:
    notebook: Any = nbformat.read(ROOT / "docs/notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") for cell in notebook.cells)
    kernel = NotebookClient(notebook, timeout=2 * SECONDS, kernel_name="python3")
    kernel.execute()
    shown = [
        output["data"].get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "execute_result"
    ]
    assert any("evaluate-el" in html for html in shown)
    assert any("Fine-tuned, %" in html for html in shown)
    assert any("lead.value" in html for html in shown)
