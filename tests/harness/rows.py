"""The rows that a second family and a second corpus have in the catalog, as light as it is."""

from __future__ import annotations

from jobrunner.catalog.corpora import CORPORA, Corpus
from jobrunner.catalog.models import FAMILIES, Family

FAMILY_TYPE = "buckets"
FAMILY = Family(title="Buckets", module="tests.harness.family", takes_language=False)
CORPUS = Corpus(
    kind="arrays",
    title="Arrays",
    reader="tests.harness.corpus",
    place="required",
    place_name="FOLDER",
    repo="nobody/arrays",
    licence="cc0-1.0",
    config_of=lambda language: language.code if language.code in {"el", "cy"} else None,
    usual_train=("learn",),
    usual_validation="check",
)


def register() -> None:
    """Adds both rows."""
    FAMILIES[FAMILY_TYPE] = FAMILY
    CORPORA[CORPUS.kind] = CORPUS
