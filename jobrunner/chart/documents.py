"""Kubernetes objects as YAML, read and written so that Python, Go and people see the same.

YAML readers disagree about plain scalars: PyYAML reads `no` as False, Go's reader reads `y` as true
and `1e3` as 1000. So only words that every reader reads as text are written plain.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS_THAT_READERS_CONVERT = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf")
)


class _Loader(yaml.CSafeLoader):
    """Refuses a mapping that has a key twice: readers disagree about which one counts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "a key appears twice", node.start_mark
            )
        return mapping


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = '"'
        if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_THAT_READERS_CONVERT:
            style = ""
        elif "\n" in text:
            style = "|"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style or None)


_Dumper.add_representer(str, _Dumper.represent_text)


def load(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of YAML documents; empty documents are left out.

    Raises:
        yaml.YAMLError: the text is not YAML, or a mapping has a key twice.
    """
    return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]


def dump(document: dict[str, Any]) -> str:
    """One object as YAML, with its keys in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
