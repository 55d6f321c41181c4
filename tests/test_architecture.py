"""The shape of the code: imports point downwards, modules and functions stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.paths import ROOT

PACKAGE = ROOT / "jobrunner"
# The rooms floor by floor, the highest first. A room imports itself and floors below it; rooms of
# one floor do not import each other.
FLOORS = (
    ("jobrunner", "__main__"),
    ("cli",),
    ("runner", "doctor"),
    ("backends", "core"),
    ("chart", "config", "corpora", "reports"),
    ("spec",),
    ("storage", "catalog", "scoring"),
    ("errors", "states", "waiting"),
)
# Nobody imports the core, and it does not read jobrunner.toml.
NOT_FOR_CORE = {"config"}
LONGEST_MODULE = 300
LONGEST_FUNCTION = 60


def _modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _room(module: str) -> str:
    """`jobrunner.cli.submit` → `cli`; the package itself is the SDK."""
    return module.split(".")[1] if "." in module else module


def imports(module: str) -> Iterator[str]:
    """Modules of the project that a module imports anywhere, in functions too.

    Args:
        module: its dotted name.
    """
    tree = ast.parse(MODULES[module].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("jobrunner"))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            if node.module and node.module.split(".")[0] == "jobrunner":
                for each in node.names:
                    inner = f"{node.module}.{each.name}"
                    yield inner if inner in MODULES else node.module


def _python_files() -> list[Path]:
    folders = ("jobrunner", "tests", "benchmarks", "docs", "examples")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_its_place() -> None:
    assert {_room(module) for module in MODULES} == {room for rooms in FLOORS for room in rooms}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_downwards(module: str) -> None:
    own = _room(module)
    others = {_room(name) for name in imports(module)} - {own}
    assert {room for room in others if _floor(room) <= _floor(own)} == set()
    if own == "core":
        assert not others & NOT_FOR_CORE


def test_nobody_imports_the_core() -> None:
    wrong = {
        (module, name)
        for module in MODULES
        for name in imports(module)
        if _room(name) == "core" and _room(module) != "core"
    }
    assert not wrong


def test_a_module_has_at_most_300_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _python_files()}
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_a_function_has_at_most_60_lines() -> None:
    long = {}
    for path in _python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


TESTS = ROOT / "tests"
# Folders of tests that are no room: what tests share, and what the repository has besides.
NOT_ROOMS = {"harness", "hints", "contract", "cluster", "k8s", "images", "examples"}
# Tests that belong to no module, and why.
NOT_OF_A_MODULE = {
    "chart/test_generated.py": "what docs/generate.py writes, of the chart and of the reference",
    "chart/test_pods.py": "the templates of the chart, which are not Python",
    "cli/test_bad_input.py": "wrong input of every command",
    "cli/test_light_client.py": "every command without the extra `core`",
    "core/test_plugged.py": "a second family and a second corpus, through all stages",
}


def _tests_of_rooms() -> list[Path]:
    """Python files below the folders of tests that mirror the package, from `tests` on."""
    files = [path.relative_to(TESTS) for path in TESTS.glob("*/**/*.py")]
    return [path for path in files if path.parts[0] not in NOT_ROOMS]


def test_a_folder_of_tests_has_the_name_of_a_room() -> None:
    folders = {path.parent for path in _tests_of_rooms()}
    assert [str(folder) for folder in folders if not (PACKAGE / folder).is_dir()] == []


def test_a_file_of_tests_has_the_name_of_a_module() -> None:
    files = [path for path in _tests_of_rooms() if path.name.startswith("test_")]
    modules = {path: PACKAGE / path.with_name(path.name.removeprefix("test_")) for path in files}
    without = {str(path) for path, module in modules.items() if not module.is_file()}
    assert without == set(NOT_OF_A_MODULE)


# Packages that take long to import, by what may not load them.
NEVER = ("torch", "transformers", "datasets", "pyarrow", "numpy", "kubernetes", "boto3", "helm")
NOT_FOR_HELP = (*NEVER, "pydantic", "rich", "yaml", "platformdirs", "asyncio", "urllib.request")
PROBE = """
import sys
from jobrunner.cli import run
code = run(sys.argv[1:])
sys.stderr.write("\\n".join(["loaded:", *sys.modules]))
sys.exit(code)
"""


def _loaded(*arguments: str, cwd: Path = ROOT) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.partition("loaded:\n")[2].splitlines())


def test_help_imports_no_command_and_nothing_heavy() -> None:
    loaded = _loaded("--help")
    assert not loaded & set(NOT_FOR_HELP)
    assert {name for name in loaded if name.startswith("jobrunner.cli.")} == {
        "jobrunner.cli.group",
        "jobrunner.cli.output",
        "jobrunner.cli.verbosity",
    }


def test_a_commands_help_imports_nothing_heavy() -> None:
    assert not _loaded("submit", "--help") & set(NOT_FOR_HELP)


def test_a_dry_run_imports_nothing_that_only_a_run_needs() -> None:
    spec = ("--lang", "el", "--storage", "s3://speech/runs")
    assert not _loaded("submit", *spec, "--dry-run") & {*NEVER, "rich", "yaml"}


def test_reports_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, jobrunner.reports, jobrunner.reports.modelcard;"
        "heavy = {'torch', 'numpy', 'pyarrow', 'jiwer', 'transformers', 'boto3', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
