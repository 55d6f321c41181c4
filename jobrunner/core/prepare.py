"""The stage `prepare`: stores the base model and the prepared speech of all languages.

It is the only stage that talks to the model hub. Data that is complete in storage is left alone,
so runs share it; incomplete data is completed.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobrunner.catalog import languages, models
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data import layout
from jobrunner.core.data.build import Builder
from jobrunner.core.data.layout import Split
from jobrunner.core.data.pool import cores
from jobrunner.core.data.selection import Selection, select
from jobrunner.core.data.sources import open_source
from jobrunner.core.data.summary import write_report
from jobrunner.corpora import splits
from jobrunner.errors import Interrupted, StorageError
from jobrunner.spec import keys
from jobrunner.storage import folders

# The order of preparation: splits that are quick and can reveal a mistake come first.
_ORDER: tuple[Split, ...] = ("test", "validation", "train")

# Unfinished uploads older than a day (in seconds) are abandoned and may be deleted.
_ABANDONED = 86_400.0


def run(context: StageContext) -> None:
    """Stores everything that the later stages read.

    Raises:
        SpecError: model or data are not as the spec says.
        DataError: the speech cannot be used.
        Interrupted: SIGTERM came; finished parts stay.
        StorageFull: no room left; finished parts stay.
        JobrunnerError: the hub cannot be reached.
    """
    _clean(context)
    with _work_folder(context.scratch) as work:
        context.progress.update(message="fetching the model", urgent=True)
        _prepare_model(context, work)
        selections = {}
        for code in context.spec.languages:
            if context.stop:
                raise Interrupted("Stopped before the speech was read.")
            if selection := _selected(context, code):
                selections[code] = selection
        if not selections:
            context.log("all speech is in storage already")
        clips_by_split = [
            clips for chosen in selections.values() for clips in chosen.clips.values()
        ]
        counter = _ClipCounter(context, sum(map(len, clips_by_split)))
        for code, selection in selections.items():
            _prepare_language(context, code, selection, counter, work)
    context.progress.update(message="prepared", done=1.0, seconds_left=0.0, urgent=True)


def _clean(context: StageContext) -> None:
    try:
        context.storage.clean_uploads(_ABANDONED)
    except StorageError as error:  # a run can do without this right
        context.log(f"half-written files of earlier runs stay: {error}")


class _ClipCounter:
    """Progress over all splits of all languages."""

    def __init__(self, context: StageContext, clips: int) -> None:
        self._context = context
        self._clips = max(1, clips)
        self._done = 0
        self._seconds = 0.0

    def add(self, clips: int, seconds: float) -> None:
        self._done += clips
        self._seconds += seconds
        self._context.progress.update(
            done=min(1.0, self._done / self._clips), audio_seconds=self._seconds
        )


def _prepare_model(context: StageContext, work: Path) -> None:
    prefix = keys.model_prefix(context.spec)
    # A folder without a fingerprint may differ from the one in storage.
    pinned = bool(context.spec.model_revision) or not models.is_folder(context.spec.model)
    if pinned and folders.is_whole(context.storage, prefix):
        return
    files, commit = _model_files(context)
    models.family_in(files["config.json"].read_bytes(), shown=context.spec.model)
    # A folder of links, because a repository or a folder may have other files besides the model's.
    folder = work / "model"
    folder.mkdir()
    for name, path in files.items():
        (folder / name).symlink_to(path.resolve())
    if commit:
        (folder / keys.ORIGIN).write_text(json.dumps({"commit": commit}))
    folders.publish(context.storage, prefix, folder)
    size = sum(path.stat().st_size for path in files.values())
    of = f", commit {commit} of the hub" if commit else ""
    context.log(f"model {context.spec.model}: {len(files)} files, {size / 1e6:.1f} MB{of}")


def _model_files(context: StageContext) -> tuple[dict[str, Path], str]:
    """The files of the model by their names, and the commit of the hub that they are of."""
    # huggingface_hub takes 0.5 s to import, and most runs find the model in storage.
    from jobrunner.core import hub

    spec = context.spec
    if models.is_folder(spec.model):
        folder = Path(spec.model).expanduser()
        file_names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return {name: folder / name for name in hub.model_files(file_names, str(folder))}, ""
    preset = models.PRESETS.get(spec.model)
    files = hub.fetch_model(
        preset.repo if preset else spec.model,
        spec.model_revision,
        scratch=context.scratch,
        instead="Download the model on a machine with internet, then use --model FOLDER.",
    )
    return files, hub.commit_of(files)


def _selected(context: StageContext, language: str) -> Selection | None:
    """The clips of each split to prepare; None if all splits are in storage."""
    spec = context.spec
    wanted = splits.wanted(spec, language)
    _warn_of_missing(context, language)
    if not wanted or _complete(context, language, wanted):
        return None
    context.progress.update(message=f"reading {languages.find(language).name}", urgent=True)
    return select(open_source(spec, language, context.scratch), spec.data, wanted)


def _warn_of_missing(context: StageContext, language: str) -> None:
    prefix = keys.data_prefix(context.spec, language)
    for split in _ORDER:
        lacking = layout.missing(context.storage, prefix, split)
        if lacking:
            more = f" and {len(lacking) - 1} more are" if len(lacking) > 1 else " is"
            context.log(f"{lacking[0]}{more} not in storage as prepared before")


def _complete(context: StageContext, language: str, wanted: tuple[str, ...]) -> bool:
    """True if the splits are in storage and the source need not be read.

    A folder may have changed unless a fingerprint pins it, and only the run's language is pinned.
    """
    source = context.spec.data.source
    pinned = bool(source.revision) and language == context.spec.lang
    # A folder of the submitting machine was prepared there; no pod has it.
    here = source.is_pinned and source.folder is not None and source.folder.is_dir()
    if here and not pinned:
        return False
    prefix = keys.data_prefix(context.spec, language)
    roles = wanted + (("validation",) if "train" in wanted else ())
    reported = layout.read_report(context.storage, prefix).get("splits", {})
    return all(
        role in reported and layout.read_whole(context.storage, prefix, role) for role in roles
    )


def _prepare_language(
    context: StageContext,
    language: str,
    selection: Selection,
    counter: _ClipCounter,
    work: Path,
) -> None:
    name = languages.find(language).name
    context.progress.update(message=f"preparing {name}", urgent=True)
    prefix = keys.data_prefix(context.spec, language)
    builder = Builder(
        storage=context.storage,
        prefix=prefix,
        min_seconds=context.spec.data.min_seconds,
        work=work,
        workers=cores(),
        stop=lambda: bool(context.stop),
        on_shard=counter.add,
    )
    for split in _ORDER:
        if split in selection.clips:
            notes: dict[str, Any] = {"commit": selection.commit} if selection.commit else {}
            if split == "validation":
                notes["held_out"] = selection.held_out
            builder.build(split, selection.clips[split], notes)
    report = write_report(context.storage, prefix, language)
    for split, facts in report["splits"].items():
        dropped = ", ".join(f"{d['count']} {reason}" for reason, d in facts["dropped"].items())
        context.log(
            f"{name} {split}: {facts['utterances']} utterances, {facts['hours'] * 60:.1f} minutes"
            + (f"; dropped: {dropped}" if dropped else "")
        )
    for line in report["warnings"]:
        context.log(f"warning: {name}: {line}")


@contextmanager
def _work_folder(scratch: Path) -> Iterator[Path]:
    """A folder for this process only. Removes the folders of processes that were killed."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "prepare.lock").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        for left in scratch.glob("prepare-*/lock"):
            with left.open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(left.parent, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="prepare-", dir=scratch))
        mine = (work / "lock").open("w")
        fcntl.flock(mine, fcntl.LOCK_EX)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        mine.close()
