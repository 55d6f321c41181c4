"""`RunSpec`: the validated description of a run, which its record takes from client to pod.

The plan, the chart's values, `values.schema.json`, `docs/reference.md` and the `--set` keys are
derived from it. Users read the descriptions of its fields there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from jobrunner.catalog import models
from jobrunner.errors import SpecError
from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from jobrunner.spec.source import FIELD, DataSpec
from jobrunner.spec.train import EvaluateSpec, TrainSpec
from jobrunner.spec.types import (
    RECORDED,
    CountOrZero,
    LanguageCode,
    Section,
    Text,
    storage_url,
)

if TYPE_CHECKING:
    from jobrunner.storage import Storage


class RunSpec(Section):
    """One run: one language, one model, its data and options."""

    # A changed default, or a changed meaning of a field, makes another version.
    version: Literal[1, 2] = Field(2, description="Version of this format.")
    lang: LanguageCode = Field(description="Language to fine-tune for, such as `el`.")
    model: Annotated[Text, AfterValidator(models.check_model)] = Field(
        "whisper-small", description="A preset, a hub id, or a folder."
    )
    model_revision: Text = Field(
        "",
        description="Pins the model: a hub revision, or the fingerprint of a folder.",
    )
    task: Literal["fine-tune", "evaluate"] = Field(
        "fine-tune",
        description="`evaluate` measures the model as it is and trains nothing.",
    )
    seed: CountOrZero = Field(0, description="Seed of data order, dropout and masks.")
    again: CountOrZero = Field(0, description="Another run of the same spec, by number.")
    group: Text = Field(
        "",
        description="Name that the runs of a sweep share. Not part of the run's id.",
    )
    storage: Annotated[Text, AfterValidator(storage_url)] = Field(
        "", description="`s3://BUCKET/PREFIX`, or a folder."
    )
    keep_checkpoints: Literal["all", "last", "none"] = Field(
        "last",
        description="Checkpoints that stay once the export is verified: `all` that training kept "
        "(the two newest and the best), `last` (the newest and the best, which can make the "
        "export again), or `none`. Not part of the run's id.",
    )
    data: DataSpec = DataSpec()
    train: TrainSpec = TrainSpec()
    evaluate: EvaluateSpec = EvaluateSpec()
    resources: ResourcesSpec = ResourcesSpec()
    cluster: ClusterSpec = ClusterSpec()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any, about: ValidationInfo) -> Any:
        """Gives a preset its own name, so that all its names make one run.

        A recorded run keeps the name that its id was made from, and so does a spec of version 1.
        """
        if about.context == RECORDED or not isinstance(given, dict) or given.get("version") == 1:
            return given
        model = given.get("model")
        return {**given, "model": models.canonical(model)} if isinstance(model, str) else given

    @model_validator(mode="after")
    def _speaks(self) -> RunSpec:
        """Checks that model and corpora have every language."""
        asked = [("lang", self.lang)]
        asked += [("evaluate.languages", code) for code in self.evaluate.languages]
        for field, code in asked:
            if self.model in models.PRESETS:
                models.check_language(self.model, code, field=field)
            for source in self.data.sources:
                if why := source.missing(code):
                    raise SpecError(FIELD, why, hint="Use --data folder:PATH.")
        return self

    @property
    def evaluation_languages(self) -> tuple[str, ...]:
        """Languages to evaluate; the run's own if none is named."""
        return self.evaluate.languages or (self.lang,)

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language whose speech the run needs, its own first."""
        return tuple(dict.fromkeys((self.lang, *self.evaluation_languages)))

    @property
    def is_here(self) -> bool:
        """True if model or speech are files of the submitting machine, which no pod can reach."""
        return models.is_folder(self.model) or any(source.is_pinned for source in self.data.sources)

    def evaluating(self, languages: tuple[str, ...]) -> RunSpec:
        """The spec with other languages to evaluate."""
        if languages == self.evaluation_languages:
            return self
        evaluate = self.evaluate.model_copy(update={"languages": languages})
        return self.model_copy(update={"evaluate": evaluate})

    def open_storage(self) -> Storage:
        """The storage of the run.

        Raises:
            StorageError: the URL or the endpoint is invalid.
        """
        from jobrunner.storage import open_storage

        return open_storage(self.storage, endpoint=self.cluster.storage_endpoint)
