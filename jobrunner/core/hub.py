"""Files from the model hub, one at a time, through the user's cache of it.

Every failure becomes one line that says what is missing and how to do without the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from jobrunner.catalog import models
from jobrunner.errors import JobrunnerError, SpecError, full_disk

# The base of all errors of the HTTP library, which differs between versions of huggingface_hub.
_HTTP_ERROR: type[Exception] = errors.HfHubHTTPError.__mro__[1]
# One of several files of weights.
_PART = re.compile(r"model-\d+-of-(\d+)\.safetensors")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository of the hub."""

    commit: str
    names: list[str]


def list_dataset(repo: str, revision: str, *, instead: str) -> Listing:
    """Lists the files of a data set.

    Args:
        repo: hub id.
        revision: branch, reference or commit.
        instead: what to do without the hub, for the error.

    Raises:
        SpecError: the hub does not have the data set or revision, or refuses it.
        JobrunnerError: the hub cannot be reached.
    """
    with _hub_errors("data.source", f"the data set {repo}", instead):
        return _list(repo, revision, "dataset")


def fetch_dataset(
    repo: str, commit: str, names: list[str], *, scratch: Path, instead: str
) -> list[Path]:
    """Fetches files of a data set, one after the other; returns their paths.

    Args:
        repo: hub id.
        commit: commit of the listing.
        names: files in the repository.
        scratch: folder for the files if the user's cache of the hub cannot be written.
        instead: what to do without the hub, for the error.

    Raises:
        SpecError: the hub does not have a file, or refuses it.
        JobrunnerError: the hub cannot be reached.
    """
    with _hub_errors("data.source", f"{names[0]} of the data set {repo}", instead):
        return _fetch(repo, commit, names, "dataset", scratch)


def fetch_model(repo: str, revision: str, *, scratch: Path, instead: str) -> dict[str, Path]:
    """Fetches the files of a model that `from_pretrained` needs; returns name → path.

    Without a network, the model is taken from the user's cache of the hub, if that has it.

    Args:
        repo: hub id.
        revision: branch, reference or commit; empty means the main branch.
        scratch: folder for the files if the user's cache of the hub cannot be written.
        instead: what to do without the hub, for the error.

    Raises:
        SpecError: the hub does not have the model, refuses it, or has no safetensors of it.
        JobrunnerError: the hub cannot be reached.
    """
    with _hub_errors("model", f"the model {repo}", instead):
        try:
            listing = _list(repo, revision or None, "model")
        except (_HTTP_ERROR, errors.OfflineModeIsEnabled):
            cached = _cached_model(repo, revision)
            if not cached:
                raise
            return cached
        chosen = model_files(listing.names, repo)
        # By branch rather than by commit, so that the cache notes the branch's commit and can be
        # used without a network.
        paths = _fetch(repo, revision or "main", chosen, "model", scratch)
        return dict(zip(chosen, paths, strict=True))


def commit_of(files: Mapping[str, Path]) -> str:
    """The commit of fetched files: the cache of the hub keeps each commit in a folder of its name.

    Of the files rather than of a listing, which may be of another moment or not be there at all.
    """
    [commit] = {path.parent.name for path in files.values()}
    return commit


def model_files(names: Iterable[str], model: str) -> list[str]:
    """The files at the top of a model's folder that loading needs: weights, configs, tokenizer.

    Raises:
        SpecError: it has no config.json, or no weights as safetensors.
    """
    top = {name for name in names if "/" not in name and not name.startswith(".")}
    if "config.json" not in top:
        raise SpecError("model", f"{model} has no config.json.", hint=models.wanted_form())
    index = "model.safetensors.index.json"
    parts = {name: int(m[1]) for name in top if (m := _PART.fullmatch(name))}
    weights = top & {"model.safetensors"} or (parts.keys() | {index} if index in top else set())
    if not weights:
        raise SpecError(
            "model",
            f"{model} has no weights as safetensors.",
            hint="Save it with save_pretrained of a recent transformers, then name that folder.",
        )
    if parts and index in weights and len(parts) != max(parts.values()):
        missing = f"{len(parts)} of {max(parts.values())} files of weights"
        raise SpecError("model", f"{model} has only {missing}.", hint="Add the others.")
    configs = {name for name in top if name.endswith((".json", ".txt", ".model"))}
    configs = {name for name in configs if not name.endswith(".index.json")}
    return sorted(weights | configs)


def _cached_model(repo: str, revision: str) -> dict[str, Path]:
    """A complete model from the user's cache of the hub, or nothing."""
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision or None, local_files_only=True
            )
        )
        files = {path.name: path for path in folder.iterdir() if path.is_file()}
        return {name: files[name] for name in model_files(files, repo)}
    except (errors.LocalEntryNotFoundError, SpecError, OSError):
        return {}


def _list(repo: str, revision: str | None, kind: str) -> Listing:
    # Unlike list_repo_tree this asks once: without a network it fails at once, not after 24 s.
    info = huggingface_hub.HfApi().repo_info(repo, revision=revision, repo_type=kind)
    return Listing(str(info.sha), sorted(file.rfilename for file in info.siblings or ()))


def _fetch(repo: str, revision: str, names: Iterable[str], kind: str, scratch: Path) -> list[Path]:
    # A bar would be thousands of lines in a log.
    huggingface_hub.utils.disable_progress_bars()
    cache = _cache(scratch)
    return [
        Path(
            huggingface_hub.hf_hub_download(
                repo, name, revision=revision, repo_type=kind, cache_dir=cache
            )
        )
        for name in names
    ]


def _cache(scratch: Path) -> Path:
    """The user's cache of the hub; a folder in scratch if that cannot be written."""
    usual = Path(constants.HF_HUB_CACHE)
    try:
        usual.mkdir(parents=True, exist_ok=True)
        probe = usual / ".jobrunner-probe"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError:
        return scratch / "hub"
    return usual


@contextmanager
def _hub_errors(field: str, what: str, instead: str) -> Iterator[None]:
    """Turns the hub's errors into one line."""
    try:
        yield
    except errors.GatedRepoError:
        hint = "Accept its terms on the hub and set HF_TOKEN."
        raise SpecError(field, f"{what} needs a token.", hint=hint) from None
    except errors.RevisionNotFoundError:
        raise SpecError(field, f"the hub has no such revision of {what}.") from None
    except errors.RepositoryNotFoundError:
        hint = "Check the name; a private one needs HF_TOKEN."
        raise SpecError(field, f"the hub does not know {what}.", hint=hint) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise _offline(what, instead) from None
    except errors.EntryNotFoundError:
        raise SpecError(field, f"the hub does not have {what}.", hint=instead) from None
    except _HTTP_ERROR as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _offline(what, instead, reason) from None
    except OSError as error:
        if full := full_disk(error, "for downloads"):
            raise full from None
        raise JobrunnerError(f"{what} could not be fetched: {error}.", hint=instead) from None


def _offline(what: str, instead: str, reason: str = "") -> JobrunnerError:
    why = f" ({reason.rstrip('.')})" if reason else ""
    return JobrunnerError(f"The hub cannot be reached for {what}{why}.", hint=instead)
