"""Checks of transcripts: empty ones, those in another script than the language's, mixed words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations

from jobrunner.catalog import languages, scripts
from jobrunner.corpora.folder.read import Clip
from jobrunner.errors import SpecError
from jobrunner.scoring.text import has_text
from jobrunner.spec import DataSpec

# Share of a split's transcripts in another script that is worth a warning. People quote names and
# sentences of other languages.
MOST_FOREIGN = 0.05
_LONGEST = 40
# Alphabets with letters that look alike: Latin A, Greek Α, Cyrillic А.
_ALIKE = ("LATIN", "GREEK", "CYRILLIC")
_WORD = re.compile(r"[^\W\d_]+")
_BARE = "punctuation or text in brackets"


def warnings(roles: Mapping[str, Sequence[Clip]], language: str, data: DataSpec) -> list[str]:
    """Warnings about the transcripts of each role, one line each.

    Raises:
        SpecError: no transcript of a role has any text.
    """
    lines: list[str] = []
    for role, clips in roles.items():
        lines += _empty(role, clips, data)
        lines += _foreign(role, clips, language)
        lines += _mixed(role, clips)
    return lines


def check_some_text(role: str, clips: Sequence[Clip], data: DataSpec) -> None:
    """Refuses a role in which no transcript can be measured.

    Raises:
        SpecError: there is none that has text once it is normalised.
    """
    if not clips or any(has_text(clip.text) for clip in clips):
        return
    every = f"all {len(clips)} transcripts of {role} are"
    if len(clips) == 1:
        every = f"the one transcript of {role} is"
    if any(clip.text for clip in clips):
        first = next(clip for clip in clips if clip.text)
        raise SpecError(
            "data.text_column",
            f"{every} nothing but {_BARE}, such as {_quoted(first)}.",
            hint=f"Check the transcripts of the {role} split.",
        )
    raise SpecError(
        "data.text_column",
        f"{every} empty.",
        hint=f"Another column than {data.text_column or 'the one found'} may hold them.",
    )


def _empty(role: str, clips: Sequence[Clip], data: DataSpec) -> Iterator[str]:
    check_some_text(role, clips, data)
    empty = sum(not clip.text for clip in clips)
    if empty:
        are = "is" if empty == 1 else "are"
        yield f"{empty} of {len(clips)} transcripts of {role} {are} empty; dropped."
    bare = [clip for clip in clips if clip.text and not has_text(clip.text)]
    if bare:
        are = "is" if len(bare) == 1 else "are"
        then = "trained on as written" if role == "train" else "not measured"
        yield (
            f"{len(bare)} of {len(clips)} transcripts of {role} {are} nothing but {_BARE}, such "
            f"as {_quoted(bare[0])}; {then}."
        )
    damaged = [clip for clip in clips if "\ufffd" in clip.text]
    if damaged:
        yield (
            f"{len(damaged)} of {len(clips)} transcripts of {role} lost characters to another "
            f"conversion (U+FFFD), such as {_quoted(damaged[0])}."
        )


def _foreign(role: str, clips: Sequence[Clip], language: str) -> Iterator[str]:
    """A warning if many transcripts are mostly in letters that the language does not use."""
    used = languages.find(language).scripts
    own = frozenset(word for code in used for word in scripts.words(code))
    distinct = set().union(*(clip.text for clip in clips))
    word_of = {letter: word for letter in distinct if (word := scripts.word(letter))}
    others = {letter for letter, word in word_of.items() if word not in own}
    if not used or not others:
        return
    foreign = [clip for clip in clips if _mostly(clip.text, others, word_of)]
    if len(foreign) <= MOST_FOREIGN * len(clips):
        return
    first = next(word_of[letter] for letter in foreign[0].text if letter in others)
    names = dict.fromkeys(map(scripts.name, used))
    are = "is" if len(foreign) == 1 else "are"
    yield (
        f"{len(foreign)} of {len(clips)} transcripts of {role} {are} not written in "
        f"{' or '.join(names)} but in {scripts.written_in(first)}, such as {_quoted(foreign[0])}."
    )


def _mixed(role: str, clips: Sequence[Clip]) -> Iterator[str]:
    """A warning if words have letters of two alphabets, which look alike and are others."""
    letters: dict[str, list[str]] = {word: [] for word in _ALIKE}
    for letter in set().union(*(clip.text for clip in clips)):
        if (word := scripts.word(letter)) in letters:
            letters[word].append(letter)
    classes = [f"[{''.join(each)}]" for each in letters.values() if each]
    if len(classes) < 2:
        return
    # Of two alphabets in a word there are two letters side by side.
    seam = re.compile("|".join(f"{one}{other}" for one, other in permutations(classes, 2)))
    mixed = [(clip, found) for clip in clips if (found := seam.search(clip.text))]
    if not mixed:
        return
    clip, found = mixed[0]
    word = next(w for w in _WORD.finditer(clip.text) if w.end() > found.start())[0]
    count = Counter(filter(None, map(scripts.word, word)))
    odd = min(word, key=lambda letter: count.get(scripts.word(letter), len(word)))
    yield (
        f"{len(mixed)} of {len(clips)} transcripts of {role} mix alphabets within a word, such as "
        f'"{word[:_LONGEST]}" with {scripts.written_in(scripts.word(odd))} {odd} '
        f"(U+{ord(odd):04X}) in {_quoted(clip)}."
    )


def _mostly(text: str, others: Collection[str], letters: Collection[str]) -> bool:
    """True if more than half of the letters are of other scripts."""
    return 2 * sum(each in others for each in text) > sum(each in letters for each in text)


def _quoted(clip: Clip) -> str:
    text = clip.text if len(clip.text) <= _LONGEST else f"{clip.text[:_LONGEST]}..."
    return f'"{text}" ({clip.name})'
