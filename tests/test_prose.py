"""What docstrings and messages of the package must not sound like (CONTRIBUTING.md, "Habits")."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_architecture import MODULES

# An expression that a fluent reader reads twice, and what to write instead.
DIALECT = {
    r"\btold\b": "say who says it, or name the thing",
    r"\b(lies|lie|lay|lain) (in|at|beside|below|on|complete)\b": "is in",
    r"\b(goes|go|went|going|gone) on\b": "continues",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"(?<!there )\b(is|are) no (?!longer|older|newer|later|better|worse|more|less)\w+": "is not a",
    r"\bby now\b": "already",
    r"\bfor want of\b": "because there is no",
}
# A first line is a verb or noun phrase that stands alone.
POOR_OPENING = re.compile(r"^(The same|The other|As|What|Whose|Where)\b")


def _texts(path: Path) -> list[tuple[int, str]]:
    """The texts of a file, docstrings included, with f-strings' fixed parts joined by `…`."""
    tree = ast.parse(path.read_text())
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            texts.append((node.lineno, "".join(map(str, parts))))
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            texts.append((node.lineno, str(node.value)))
    return texts


def _comments(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return [(number, line.split("# ", 1)[1]) for number, line in lines if "# " in line]


@pytest.mark.parametrize("pattern", DIALECT)
def test_docstrings_messages_and_comments_read_once(pattern: str) -> None:
    found = [
        f"{path.name}:{number}: {match[0]} (better: {DIALECT[pattern]})"
        for path in MODULES.values()
        for number, text in [*_texts(path), *_comments(path)]
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert not found


def test_a_docstring_opens_with_a_phrase_that_stands_alone() -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    poor = []
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if text and POOR_OPENING.match(text):
                poor.append(f"{path.name}: {text.splitlines()[0]}")
    assert not poor


@pytest.mark.parametrize("pattern", DIALECT)
def test_each_expression_of_the_list_can_be_found(pattern: str) -> None:
    examples = (
        "you are told; it lies in storage; it goes on; mend it; x is no folder; by now; for want of"
    )
    assert re.search(pattern, examples)
