"""The stage `evaluate`: base and fine-tuned model on the test set of one language.

    <evaluations of the run>/<base|tuned>/<test set>/<language>/predictions.parquet
    <evaluations of the run>/<base|tuned>/<test set>/<language>/result.json   written last

An existing result for the same model, data and settings is not computed again. So an attempt after
an interruption continues with the next model, and a repeated stage does nothing.
"""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass

import pyarrow
import pyarrow.parquet
import torch
import transformers

from jobrunner.catalog import languages, models
from jobrunner.catalog.installed import __version__
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data.dataset import Utterance
from jobrunner.core.data.testset import TestSet, open_test_set
from jobrunner.core.devices import DTYPES, choose_device, choose_precision
from jobrunner.core.models import family_of
from jobrunner.core.models.base import CHARACTERS_A_SECOND, Hypothesis
from jobrunner.core.training.schedule import as_scheduled
from jobrunner.core.transcribe import fitting, transcribe
from jobrunner.errors import NotFound, StorageError
from jobrunner.reports.collect import collect
from jobrunner.reports.format import percent, points
from jobrunner.reports.modelcard import model_card
from jobrunner.scoring import result
from jobrunner.scoring.rates import paired_difference, score
from jobrunner.scoring.result import Result, Settings, Which
from jobrunner.spec import keys, names
from jobrunner.storage import folders


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model to measure, with its settings."""

    which: Which
    prefix: str
    """Prefix of the model in storage."""
    digest: str
    settings: Settings
    device: torch.device
    dtype: torch.dtype


def run(context: StageContext, *, language: str) -> None:
    """Measures the run's models on one language and stores the results.

    Raises:
        SpecError: there is no such language.
        Lost: data or model are missing or damaged in storage.
        DataError: no utterance of the test set has a reference text.
        DeviceError: a GPU was requested, but none is visible.
        Interrupted: SIGTERM came; results of models that were done are stored.
    """
    fine_tuned = context.spec.task == "fine-tune"
    wanted: list[Which] = ["base"] if context.spec.evaluate.base or not fine_tuned else []
    wanted += ["tuned"] if fine_tuned else []
    test = open_test_set(context, languages.find(language))
    results: dict[Which, Result] = {}
    for number, which in enumerate(wanted):
        candidate = _candidate(context, test, which)
        stored = _stored(context, test, candidate)
        if stored:
            context.log(f"{which}: measured before, {_summary(stored)}")
        part = (number / len(wanted), 1 / len(wanted))
        results[which] = stored or _measure(context, test, candidate, part)
    if "base" in results and "tuned" in results:
        _store_change(context, results["base"], results["tuned"])
    if fine_tuned:
        write_card(context)
    context.progress.update(message="evaluated", done=1.0, urgent=True)


def write_card(context: StageContext) -> None:
    """Writes the export's model card with every result that the run has.

    Evaluations of several languages may end at the same time, so each looks again after writing:
    the last one to write has seen all results.
    """
    prefix = keys.export_prefix(context.run)
    try:
        config = context.storage.read(prefix + "config.json")
    except NotFound:
        raise folders.not_stored(prefix + "config.json") from None
    family = models.family_in(config, shown=prefix)
    seen: list[Result] | None = None
    while (results := collect(context.storage, [context.run], warn=context.log)) != seen:
        card = model_card(as_scheduled(context).record, results, family)
        context.storage.write(prefix + keys.CARD, card.encode())
        seen = results


def _candidate(context: StageContext, test: TestSet, which: Which) -> Candidate:
    spec = context.spec
    prefix = keys.export_prefix(context.run) if which == "tuned" else keys.model_prefix(spec)
    device = choose_device(spec.resources)
    precision = choose_precision(spec.resources, device)
    return Candidate(
        which=which,
        prefix=prefix,
        digest=folders.digest(context.storage, prefix),
        settings=Settings(
            language=test.language.code,
            max_utterances=spec.evaluate.max_utterances,
            precision=precision,
            batch_size=spec.evaluate.batch_size,
            characters_a_second=CHARACTERS_A_SECOND,
        ),
        device=device,
        dtype=DTYPES[precision],
    )


def _stored(context: StageContext, test: TestSet, candidate: Candidate) -> Result | None:
    """The result in storage, if it is of the same model, data and settings."""
    key = keys.result_file(*_place(context, test.language.code, candidate.which))
    try:
        stored = result.parse(context.storage.read(key), key)
    except NotFound:
        return None
    except StorageError as error:
        context.log(f"{error} Measured again.")
        return None
    same = (stored.model_digest, stored.data_digest, stored.settings) == (
        candidate.digest,
        test.digest,
        candidate.settings,
    )
    return stored if same else None


def _measure(
    context: StageContext, test: TestSet, candidate: Candidate, part: tuple[float, float]
) -> Result:
    """Decodes and scores the test set with one model, and stores both.

    Args:
        context: the stage.
        test: the test set.
        candidate: the model.
        part: start and size of this model's share of the stage, as ratios.
    """
    which = candidate.which
    context.progress.update(message=f"loading {which}", done=part[0], urgent=True)
    folder = folders.fetch(context.storage, candidate.prefix, context.scratch)
    model = family_of(folder).load(
        folder,
        context.spec,
        candidate.device,
        candidate.dtype,
        language=test.language.code,
    )
    clips = fitting(model.recipe, test.utterances)
    context.progress.restart_clock(part[0])

    def after_batch(utterances: int, seconds: float) -> None:
        context.progress.update(
            message=f"decoding {which}",
            step=utterances,
            steps=len(clips),
            audio_seconds=seconds,
            done=part[0] + part[1] * utterances / len(clips),
        )

    start = time.monotonic()
    hypotheses = transcribe(
        model,
        test.dataset,
        clips,
        batch_size=candidate.settings.batch_size,
        after_batch=after_batch,
        should_stop=lambda: bool(context.stop),
    )
    measured = _result(context, test, candidate, clips, hypotheses, time.monotonic() - start)
    _store(context, measured, clips, hypotheses)
    context.log(f"{which}: {_summary(measured)}")
    return measured


def _result(
    context: StageContext,
    test: TestSet,
    candidate: Candidate,
    clips: list[Utterance],
    hypotheses: list[Hypothesis],
    seconds: float,
) -> Result:
    device = candidate.device
    return Result(
        run=context.run,
        which=candidate.which,
        model=names.model_name(context.spec.model),
        trained_on=context.spec.lang,
        language=test.language.code,
        test_set=context.spec.data.source.name,
        split=context.spec.data.test_split,
        model_digest=candidate.digest,
        data_digest=test.digest,
        model_commit=_commit_of_base(context),
        data_commit=test.commit,
        settings=candidate.settings,
        scores=score(
            [clip.text for clip in clips],
            [hypothesis.text for hypothesis in hypotheses],
            unit=test.language.unit,
            speakers=[clip.speaker for clip in clips],
        ),
        too_long=len(test.utterances) - len(clips),
        looped=sum(hypothesis.looped for hypothesis in hypotheses),
        audio_seconds=sum(clip.seconds for clip in clips),
        decode_seconds=seconds,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        finished=time.time(),
        software={
            "jobrunner": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    )


def _commit_of_base(context: StageContext) -> str:
    """Commit of the hub that the base model is of; empty if it was a folder, or is not known."""
    try:
        origin = context.storage.read(keys.model_prefix(context.spec) + keys.ORIGIN)
        return str(json.loads(origin)["commit"])
    except (NotFound, ValueError, KeyError, TypeError):
        return ""


def _store(
    context: StageContext, measured: Result, clips: list[Utterance], hypotheses: list[Hypothesis]
) -> None:
    """Stores the predictions first and the result last, so that an existing result is complete."""
    table = pyarrow.table(
        {
            "clip": [clip.clip for clip in clips],
            "speaker": [clip.speaker for clip in clips],
            "seconds": [clip.seconds for clip in clips],
            "reference": [clip.text for clip in clips],
            "hypothesis": [hypothesis.text for hypothesis in hypotheses],
            "score": [hypothesis.score for hypothesis in hypotheses],
            "looped": [hypothesis.looped for hypothesis in hypotheses],
        }
    )
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    place = _place(context, measured.language, measured.which)
    context.storage.write(keys.predictions_file(*place), file.getvalue())
    context.storage.write(keys.result_file(*place), measured.model_dump_json().encode())


def _store_change(context: StageContext, base: Result, tuned: Result) -> None:
    """Adds the change from the base to the tuned model to the tuned result."""
    change = paired_difference(base.scores, tuned.scores)
    context.log(f"change: {points(change)} points")
    if change != tuned.change:
        compared = tuned.model_copy(update={"change": change})
        key = keys.result_file(*_place(context, tuned.language, "tuned"))
        context.storage.write(key, compared.model_dump_json().encode())


def _place(context: StageContext, language: str, which: Which) -> tuple[str, str, str, str]:
    """Run, model, test set and language of a result."""
    return context.run, which, context.spec.data.source.name, language


def _summary(measured: Result) -> str:
    scores = measured.scores
    return f"{scores.metric.label} {percent(scores.lead)} % on {scores.utterances} utterances"
