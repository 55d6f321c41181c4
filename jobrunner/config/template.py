"""The commented jobrunner.toml that `jobrunner init` writes, generated from the spec."""

from __future__ import annotations

import json
from typing import Any

from jobrunner.catalog.gpus import PROFILES
from jobrunner.config.derived import derived
from jobrunner.spec.paths import settings

# Shown for fields without a default of their own.
EXAMPLES: dict[str, Any] = {"lang": "el"}

HEAD = """\
# Defaults for `jobrunner` in this folder. Flags and JOBRUNNER_* variables override this file;
# `jobrunner config show` shows where each value comes from.
# Each line shows a default: remove the # to change it.

# Where runs run: "kubernetes", or "local" for this machine.
# backend = "kubernetes"

# A profile to use by default, such as {profiles}.
# profile = ""
"""

FOOT = """\
# Profiles, chosen with --profile NAME; this one would be `--profile mine`.
# [profiles.mine.resources]
# gpu_product = "NVIDIA-A100-SXM4-80GB"
# gpus = 4
"""


def template() -> str:
    """The file's text. It still loads if the # before every key is removed."""
    parts = [HEAD.format(profiles=", ".join(PROFILES))]
    section, following = "", derived({})
    for path, setting in settings().items():
        table, _, name = path.rpartition(".")
        if table != section:
            parts.append(f"[{table}]\n")
            section = table
        default, _ = following.get(path, (setting.default, ""))
        value = EXAMPLES.get(path, default)
        parts.append(f"# {setting.description}\n# {name} = {_toml(value)}\n")
    return "\n".join([*parts, FOOT])


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    # JSON and TOML write texts, numbers and truth values alike.
    return json.dumps(value)
