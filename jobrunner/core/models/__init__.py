"""Model families, found by the `model_type` in a model's config."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobrunner.catalog import models
from jobrunner.errors import DataError

if TYPE_CHECKING:
    from jobrunner.core.models.base import Family


def family_of(folder: Path) -> Family:
    """The family of a model in Hugging Face form.

    Raises:
        DataError: the folder has no config that can be read.
        SpecError: there is no family for its `model_type`.
    """
    config = folder / "config.json"
    try:
        content = config.read_bytes()
    except OSError as error:
        raise DataError(f"{config}: {error.strerror or error}.") from None
    facts = models.family_in(content, shown=str(folder))
    return cast("Family", importlib.import_module(facts.module))
