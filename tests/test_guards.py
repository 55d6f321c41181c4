"""What keeps the house in order: small rooms, one home for each rule, a map that is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jobrunner
from jobrunner.spec import keys
from tests.harness.paths import ROOT
from tests.test_architecture import FLOORS, MODULES, imports

PACKAGE = ROOT / "jobrunner"
MAP = (ROOT / "docs/architecture.md").read_text()
MOST_ENTRIES = 18
# Commands are many by nature: one file each.
CROWDED = {PACKAGE / "cli"}


def _source(module: str) -> str:
    return MODULES[module].read_text()


def _literals(path: Path) -> Iterator[str]:
    """Texts of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in documentation:
            yield text


def test_no_room_is_crowded() -> None:
    entries: dict[Path, int] = {}
    for path in MODULES.values():
        for folder in (path.parent, *path.parent.parents):
            if folder.is_relative_to(PACKAGE):
                found = [e for e in folder.iterdir() if e.suffix == ".py" or _is_room(e)]
                entries[folder] = len(found)
    crowded = {folder for folder, count in entries.items() if count > MOST_ENTRIES}
    assert crowded <= CROWDED


def _is_room(entry: Path) -> bool:
    return entry.is_dir() and any(entry.rglob("*.py"))


def test_no_module_waits_for_itself_not_even_lazily() -> None:
    graph = {
        # The package of a module is left out: it is imported before the module in any case.
        module: {name for name in imports(module) if not f"{module}.".startswith(f"{name}.")}
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(graph.get(module, ())):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_keys_of_storage_are_written_in_one_file() -> None:
    names = {keys.HISTORY, keys.OPTIMISER, keys.TRAINING, keys.CARD, keys.COMMIT}
    names |= {"result.json", "predictions.parquet"}
    guilty = {
        (module, text)
        for module, path in MODULES.items()
        for text in _literals(path)
        if text in names and module != "jobrunner.spec.keys"
    }
    assert guilty == set()


def test_the_core_names_no_model_but_in_the_files_of_its_family() -> None:
    own = {"whisper", "whisper_activations", "whisper_recipe", "features"}
    guilty = [
        str(path.relative_to(ROOT))
        for path in sorted((PACKAGE / "core").rglob("*.py"))
        if "whisper" in path.read_text().lower()
        and not (path.parent.name == "models" and path.stem in own)
    ]
    assert guilty == []


def test_the_form_of_a_storage_url_is_known_in_two_places() -> None:
    knowing = {
        path.relative_to(PACKAGE)
        for path in MODULES.values()
        if any(text == "s3://" for text in _literals(path))
    }
    others = {path for path in knowing if path.parts[0] != "storage"}
    assert others == {Path("spec/types.py")}


def test_ids_of_runs_are_given_by_submits_alone() -> None:
    calling = {module for module in MODULES if re.search(r"\bnew_record\(", _source(module))}
    assert calling == {"jobrunner.runner.prepare", "jobrunner.spec.record"}
    assert {m for m in MODULES if "names.run_id(" in _source(m)} == {"jobrunner.spec.record"}


def test_the_command_line_calls_the_verbs_of_the_runner_and_nothing_below() -> None:
    allowed = {"cli", "runner", "doctor", "config", "spec", "catalog", "scoring", "reports"}
    allowed |= {"errors", "states", "waiting", "jobrunner"}
    wrong = {
        (module, name)
        for module in MODULES
        if module.startswith("jobrunner.cli")
        for name in imports(module)
        if [*name.split("."), "jobrunner"][1] not in allowed
    }
    assert wrong == set()


def test_no_code_asks_which_storage_it_has() -> None:
    guilty = [module for module in MODULES if "isinstance(storage" in _source(module)]
    assert guilty == []


def test_the_map_shows_every_room_and_no_other() -> None:
    shown = set(re.findall(r"^\| \d \| `jobrunner/(\S+?)/?` \|", MAP, re.MULTILINE))
    rooms = {p.name for p in PACKAGE.iterdir() if _is_room(p)}
    files = {p.name for p in PACKAGE.glob("*.py")}
    assert shown == rooms | files
    inner = set(re.findall(r"^\| `jobrunner/core/(\w+)/` \|", MAP, re.MULTILINE))
    assert inner == {p.name for p in (PACKAGE / "core").iterdir() if _is_room(p)}


def test_the_floors_of_the_map_are_those_that_imports_keep() -> None:
    shown = re.findall(r"^\| (\d) \| `jobrunner/(\w+)(?:\.py)?/?` \|", MAP, re.MULTILINE)
    floors: dict[int, set[str]] = {}
    for number, room in shown:
        floors.setdefault(int(number), set()).add(room.replace("__init__", "jobrunner"))
    assert [floors[number] for number in sorted(floors)] == [set(rooms) for rooms in FLOORS]


def _rows() -> list[tuple[str, int, str]]:
    table = MAP.partition("## To add a")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+) \| (\d+) \| ([^|]+) \|$", table, re.MULTILINE)
    return [(what, int(count), where) for what, count, where in found]


def test_what_the_map_says_to_touch_is_there_and_counted() -> None:
    rows = _rows()
    assert len(rows) > 12
    for what, count, where in rows:
        sources, _, _ = where.partition(";")
        places = re.findall(r"`([^`]+)`", sources)
        assert all((ROOT / place).exists() for place in places), what
        others = len(re.findall(r"its user|where it happens|the two above", sources))
        more = 1 if "the two above" in sources else 0
        assert len(places) + others + more == count, what


def test_a_word_of_each_table_stands_in_its_home_alone() -> None:
    # One example of each kind: who adds a second one finds that nothing else names the first.
    homes = {
        "basic": {"scoring/text.py"},
        "NVIDIA-L40S": {"catalog/gpus.py"},
        "NVIDIA-H100-80GB-HBM3": {"catalog/gpus.py"},
        "google/fleurs": {"catalog/corpora.py"},
        "whisper-medium": {"catalog/models.py"},
        "Kinyarwanda": {"catalog/languages.py"},
        "train_loss": {"states.py"},
        "refs/convert/parquet": {"core/data/sources/fleurs.py"},
        "jobrunner.core.models.whisper": {"catalog/models.py"},
        "jobrunner.backends.local.backend": {"catalog/backends.py"},
    }
    found: dict[str, set[str]] = {word: set() for word in homes}
    for path in MODULES.values():
        texts = list(_literals(path))
        for word, places in found.items():
            table = word == "Kinyarwanda"
            if any(word in text if table else word == text for text in texts):
                places.add(path.relative_to(PACKAGE).as_posix())
    found = {word: places for word, places in found.items() if word in homes and places}
    assert found == {word: homes[word] for word in found}
    assert len(found) >= len(homes) - 1


def test_the_public_names_are_these() -> None:
    spec = ["ClusterSpec", "DataSpec", "EvaluateSpec", "ResourcesSpec", "RunSpec", "Source"]
    values = ["JobrunnerError", "Report", "Run", "RunList", "RunStatus", "StageStatus", "State"]
    verbs = ["cancel", "delete", "evaluate", "logs", "report", "runs", "status", "submit"]
    verbs += ["diff", "export", "resume", "show", "transcribe", "view", "watch"]
    assert sorted(jobrunner.__all__) == sorted([*spec, "TrainSpec", *values, *verbs, "__version__"])
    assert all(getattr(jobrunner, name) is not None for name in jobrunner.__all__)


def test_importing_the_package_imports_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import jobrunner; print(*sorted({m for m in set(sys.modules) - before if m.startswith(('jobrunner', 'pydantic', 'click', 'torch'))}))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["jobrunner"]


def test_a_verb_stays_a_verb_after_modules_were_imported() -> None:
    script = "import jobrunner, jobrunner.runner.sdk, jobrunner.cli.status; print(callable(jobrunner.status), callable(jobrunner.report))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["True", "True"]
