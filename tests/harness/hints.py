"""The hints that the package writes, as templates, and what tests say of those they follow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobrunner.errors import JobrunnerError
from tests.harness.paths import ROOT

Hint = tuple[str, int, str]
"""Module, line and template."""
# Tables whose rows have a hint at this place, or as `hint=`.
_TABLES = {"_MESSAGES": 1}
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def matches(hint: str, text: str) -> bool:
    """True if a text has a hint, in which `{}` stands for anything."""
    return bool(re.search(".*".join(map(re.escape, hint.split("{}"))), text, re.DOTALL))


@contextmanager
def hinted(hint: str, kind: type[JobrunnerError] = JobrunnerError) -> Iterator[None]:
    """Passes if the block ends with an error that has this hint, in which `{}` is anything."""
    with pytest.raises(kind) as caught:
        yield
    assert matches(hint, caught.value.hint), caught.value


def assert_hint(hint: str, text: str) -> None:
    """Asserts that an output or a log has this hint, in which `{}` is anything."""
    assert matches(hint, text), text


def followed() -> list[str]:
    """The hints that tests name as theirs: `hint=...`, `hinted(...)`, `assert_hint(...)`."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text())
        named: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    named.setdefault(ast.unparse(target), []).append(node.value)
        for node in ast.walk(tree):
            for given in _given(node) if isinstance(node, ast.Call) else ():
                if isinstance(given, ast.Name):
                    # Each is used; what matters is that the text stands in a test.
                    found += [_text(value) for value in named.get(given.id, ())]
                else:
                    found.append(_text(given))
    return [text for text in found if text]


def _given(node: ast.Call) -> list[ast.expr]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in {"hinted", "assert_hint"}:
        return node.args[:1]
    return [keyword.value for keyword in node.keywords if keyword.arg == "hint"]


def _text(node: ast.expr) -> str:
    """A literal; what an f-string puts in is `{}`."""
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


class Package:
    """The package's modules, in which hints are looked up.

    Args:
        root: its folder.
    """

    def __init__(self, root: Path) -> None:
        paths = sorted(root.rglob("*.py"))
        self._trees = {p.relative_to(root).as_posix(): ast.parse(p.read_text()) for p in paths}
        self._functions: dict[str, list[tuple[str, ast.AST]]] = {}
        for module, tree in self._trees.items():
            for node in ast.walk(tree):
                if isinstance(node, _FUNCTIONS):
                    self._functions.setdefault(node.name, []).append((module, node))

    def hints(self) -> set[Hint]:
        """Module, line and template of each hint."""
        found: set[Hint] = set()
        for module, tree in self._trees.items():
            found |= set(self._below(tree, module, tree))
        return found

    def _below(self, node: ast.AST, module: str, scope: ast.AST) -> Iterator[Hint]:
        if isinstance(node, _FUNCTIONS):
            scope = node
            names = [argument.arg for argument in node.args.kwonlyargs]
            for name, default in zip(names, node.args.kw_defaults, strict=True):
                if name == "hint" and default is not None:
                    yield from self._of(default, module, scope)
        if isinstance(node, ast.keyword) and node.arg in {"hint", "instead"}:
            yield from self._of(node.value, module, scope)
        for name in self._tables(node):
            assert isinstance(node, ast.Assign)
            for row in node.value.values if isinstance(node.value, ast.Dict) else ():
                assert isinstance(row, ast.Tuple)
                yield from self._of(row.elts[_TABLES[name]], module, scope)
        for child in ast.iter_child_nodes(node):
            yield from self._below(child, module, scope)

    def _tables(self, node: ast.AST) -> list[str]:
        targets = node.targets if isinstance(node, ast.Assign) else []
        return [t.id for t in targets if isinstance(t, ast.Name) and t.id in _TABLES]

    def _of(self, node: ast.expr, module: str, scope: ast.AST) -> Iterator[Hint]:
        """The templates that an expression can have as its value."""
        text = _text(node)
        if re.search("[a-z]{2}", text.replace("{}", "")):
            yield module, node.lineno, text
        elif isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from self._of(part.value, module, scope)
        elif isinstance(node, ast.IfExp):
            yield from self._of(node.body, module, scope)
            yield from self._of(node.orelse, module, scope)
        elif isinstance(node, ast.BoolOp):
            for part in node.values:
                yield from self._of(part, module, scope)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield from self._assigned(ast.unparse(node), module, scope)
        elif isinstance(node, ast.Call):
            yield from self._returned(node, module, scope)

    def _unpacked(self, name: str, module: str, scope: ast.AST) -> Iterator[Hint]:
        """The templates at the place of a name in tuples that a function returns."""
        for node in ast.walk(scope):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            for target in node.targets:
                parts = target.elts if isinstance(target, ast.Tuple) else []
                at = [ast.unparse(part) for part in parts]
                if name in at:
                    for value, place, function in self._returns(node.value):
                        if isinstance(value, ast.Tuple):
                            yield from self._of(value.elts[at.index(name)], place, function)

    def _assigned(self, name: str, module: str, scope: ast.AST) -> Iterator[Hint]:
        for place in (scope, self._trees[module]):
            values = [
                node.value
                for node in ast.walk(place)
                if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if ast.unparse(target) == name
            ]
            for value in values:
                if value is not None:
                    yield from self._of(value, module, place)
            if values:
                return
        yield from self._unpacked(name, module, scope)

    def _returned(self, node: ast.Call, module: str, scope: ast.AST) -> Iterator[Hint]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if name == "get" and isinstance(node.func, ast.Attribute):
            tables = self._dictionary(ast.unparse(node.func.value), scope)
            for table in tables:
                for value in table.values:
                    yield from self._of(value, module, scope)
            return
        for value, place, function in self._returns(node):
            yield from self._of(value, place, function)

    def _returns(self, node: ast.Call) -> Iterator[tuple[ast.expr, str, ast.AST]]:
        """What a function of the package returns, with its module."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        for place, function in self._functions.get(name, ()):
            for part in ast.walk(function):
                if isinstance(part, ast.Return) and part.value is not None:
                    yield part.value, place, function

    def _dictionary(self, name: str, scope: ast.AST) -> list[ast.Dict]:
        return [
            node.value
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Dict)
            and name in {ast.unparse(target) for target in node.targets}
        ]
