"""The roles of a source's splits, the sentences to hold out, and what splits share. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from jobrunner.errors import SpecError
from jobrunner.scoring import text
from jobrunner.spec import DataSpec, RunSpec

# Names that corpora use for the same split.
_ALIASES = (
    ("train", "training"),
    ("validation", "valid", "val", "dev"),
    ("test", "testing", "eval", "evaluation"),
)
KNOWN = frozenset(name for names in _ALIASES for name in names)
# More held-out utterances than this add nothing to a validation and are lost to training.
LARGEST_HOLDOUT = 1000


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """Names of the source's splits for each role."""

    train: tuple[str, ...] = ()
    validation: str = ""
    """If empty, a share of the training sentences is held out."""
    test: str = ""

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Role → splits of the source, for the roles that have any."""
        splits_of = {
            "train": self.train,
            "validation": (self.validation,) if self.validation else (),
            "test": (self.test,) if self.test else (),
        }
        return {role: splits for role, splits in splits_of.items() if splits}


def wanted(spec: RunSpec, language: str) -> tuple[str, ...]:
    """The roles that a run needs in a language; `train` includes validation."""
    trained = ("train",) if spec.task == "fine-tune" and language == spec.lang else ()
    return trained + (("test",) if language in spec.evaluation_languages else ())


def choose(
    existing: Sequence[str],
    data: DataSpec,
    *,
    wanted: Collection[str],
) -> SplitChoice:
    """Chooses the splits that the spec names, or the source's usual ones.

    Args:
        existing: names of the source's splits.
        data: `train_split`, `validation_split` and `test_split`; an empty one means the source's
            usual split, if that exists.
        wanted: roles that are needed: `train` (which includes `validation`), `test`.

    Raises:
        SpecError: a split does not exist (the message lists those that do), or has two roles.
    """
    facts = data.source.facts
    usual_train, usual_validation = facts.usual_train, facts.usual_validation
    named_validation = _find("data.validation_split", data.validation_split, existing)
    test = ""
    if "test" in wanted:
        test = _find("data.test_split", data.test_split or "test", existing)
    if "train" not in wanted:
        return SplitChoice(test=test)
    # A run without an evaluation needs no test split, but never trains on an existing one.
    kept = {named_validation, test or _match(data.test_split or "test", existing)}
    if data.train_split:
        parts = [part.strip() for part in data.train_split.split("+")]
        train = tuple(_find("data.train_split", part or " ", existing) for part in parts)
    else:
        matches = (_match(name, existing) for name in usual_train)
        train = tuple(name for name in matches if name and name not in kept)
        if not train:
            raise _none_to_train(usual_train[0], existing, named_validation, kept)
    validation = named_validation
    if not validation and usual_validation:
        usual = _match(usual_validation, existing)
        validation = "" if usual in train or usual == test else usual
    _once(train, validation, test)
    return SplitChoice(train=train, validation=validation, test=test)


def _once(train: tuple[str, ...], validation: str, test: str) -> None:
    for name in train:
        if train.count(name) > 1:
            raise SpecError("data.train_split", f"names {name!r} twice.")
    hint = "Give each role a split of its own."
    if validation and validation in train:
        raise SpecError("data.validation_split", f"{validation!r} is trained on too.", hint=hint)
    if test and test in train:
        raise SpecError("data.test_split", f"{test!r} is trained on too.", hint=hint)
    if test and test == validation:
        raise SpecError("data.test_split", f"{test!r} validates too.", hint=hint)


def _match(name: str, existing: Iterable[str]) -> str:
    """The existing split that a name means, or an empty string."""
    names = next((names for names in _ALIASES if name.casefold() in names), (name.casefold(),))
    existing = list(existing)
    if name in existing:
        return name
    for other in (name.casefold(), *names):
        for candidate in existing:
            if candidate.casefold() == other:
                return candidate
    return ""


def _find(field: str, name: str, existing: Sequence[str]) -> str:
    if not name:
        return ""
    match = _match(name, existing)
    if not match:
        problem = f"there is no split {name!r}."
        raise SpecError(field, problem, hint=f"Those that exist: {_listed(existing)}.")
    return match


def _none_to_train(
    usual: str, existing: Sequence[str], validation: str, kept: Collection[str]
) -> SpecError:
    """The error for a source in which no usual split is left to train on."""
    hint = f"Those that exist: {_listed(existing)}."
    taken = _match(usual, existing)
    if taken in kept and taken:
        role = "validation" if taken == validation else "test"
        problem = f"no split is left to train on: {taken!r} is the {role} split."
    else:
        problem = f"there is no split {usual!r}."
    if set(existing) - set(kept):
        hint = f"{hint} Name the one to train on with --set data.train_split=NAME."
    return SpecError("data.train_split", problem, hint=hint)


def _listed(existing: Sequence[str]) -> str:
    listed = ", ".join(sorted(existing)[:12]) or "none"
    return f"{listed} and {len(existing) - 12} more" if len(existing) > 12 else listed


def sentence(transcript: str) -> str:
    """The sentence of a transcript, without differences of case, punctuation and spacing."""
    return text.marks(transcript) or text.raw(transcript)


def hold_out(sentences: Sequence[str], share: float) -> set[str]:
    """Chooses the sentences to hold out from those of all utterances (one entry per utterance).

    The choice depends only on the sentences: it takes those with the smallest hashes, `share` of
    them, at least one and never all, with at most `LARGEST_HOLDOUT` utterances.
    """
    counts: dict[str, int] = {}
    for one in sentences:
        counts[one] = counts.get(one, 0) + 1
    if share <= 0 or len(counts) < 2:
        return set()
    wanted = min(max(1, round(share * len(counts))), len(counts) - 1)
    chosen: set[str] = set()
    utterances = 0
    for one in sorted(counts, key=_rank):
        if len(chosen) == wanted or utterances >= LARGEST_HOLDOUT:
            break
        if utterances + counts[one] <= LARGEST_HOLDOUT:
            chosen.add(one)
            utterances += counts[one]
    return chosen or {min(counts, key=lambda one: (counts[one], _rank(one)))}


Item = TypeVar("Item")


def held_out(
    items: Sequence[Item], sentences: Sequence[str], share: float
) -> tuple[list[Item], list[Item]]:
    """The items to train on and those to validate on, which share no sentence.

    Args:
        items: what is trained on if nothing is held out.
        sentences: the sentence of each; an empty one is never held out.
        share: see `hold_out`.
    """
    held = hold_out([one for one in sentences if one], share)
    parts: tuple[list[Item], list[Item]] = ([], [])
    for item, one in zip(items, sentences, strict=True):
        parts[one in held].append(item)
    return parts


def check_held_out(held: int, sentences: Collection[str], share: float) -> None:
    """Refuses a validation without an utterance.

    Args:
        held: number of utterances that are held out.
        sentences: those of the training utterances.
        share: see `hold_out`.

    Raises:
        SpecError: nothing is held out; says why.
    """
    if held:
        return
    different = len(set(sentences) - {""})
    problem = (
        "is 0, and no split validates."
        if share <= 0
        else f"holds out nothing: train has {different} different "
        f"sentence{'s' * (different != 1)}, and no split validates."
    )
    hint = "Add more, or name a split with --set data.validation_split=NAME."
    raise SpecError("data.holdout", problem, hint=hint)


def _rank(one: str) -> bytes:
    return hashlib.sha256(one.encode()).digest()


def overlaps(roles: Mapping[str, tuple[Collection[str], Collection[str]]]) -> list[str]:
    """One line for each pair of roles that shares sentences or speakers.

    Args:
        roles: role → its (sentences, speakers); an unknown speaker is an empty string.
    """
    lines = []
    order = [role for role in ("train", "validation", "test") if role in roles]
    for at, role in enumerate(order):
        for later in order[at + 1 :]:
            for what, ours, theirs in zip(
                ("sentences", "speakers"), roles[role], roles[later], strict=True
            ):
                known = set(theirs) - {""}
                shared = len(known & set(ours))
                if shared:
                    lines.append(f"{shared} of {len(known)} {what} of {later} are in {role} too.")
    return lines
