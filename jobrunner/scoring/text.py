"""The ways to normalise a transcript before errors are counted: a table that reports loop over.

    raw     as written; only white space is collapsed
    marks   NFC without case and punctuation, with combining marks: the leading way
    basic   Whisper's basic normaliser, for comparison with published tables

`basic` replaces every combining mark by a space. In Hindi, Malayalam and other languages these
marks are vowels, so it cuts words apart and the rates look better than they are
(openai/whisper#2849; Manohar and Pillai 2024, arXiv 2409.02449).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to normalise."""

    name: str
    """Name in records."""
    label: str
    """Label for people."""
    description: str
    """One sentence for readers who do not know the way."""
    normalise: Callable[[str], str]
    spaces_count: bool = False
    """True if white space counts as characters in languages written without spaces."""


class _Spacing(dict[int, str]):
    """A table for `str.translate` that blanks characters by the first letter of their category."""

    def __init__(self, categories: str) -> None:
        super().__init__()
        self._categories = categories

    def __missing__(self, code: int) -> str:
        character = chr(code)
        blank = unicodedata.category(character)[0] in self._categories
        return self.setdefault(code, " " if blank else character)


class _Invisible(dict[int, str]):
    """A table for `str.translate` that deletes characters without a glyph: format, selectors.

    Writers use or omit joiners and direction marks at will. The zero-width space separates words
    in Khmer and Thai text, so it becomes a space.
    """

    def __missing__(self, code: int) -> str:
        if code == 0x200B:
            return " "
        selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
        hidden = selector or unicodedata.category(chr(code)) == "Cf"
        return self.setdefault(code, "" if hidden else chr(code))


_WITHOUT_SYMBOLS = _Spacing("PS")
_WITHOUT_SYMBOLS_AND_MARKS = _Spacing("MPS")
_VISIBLE = _Invisible()
_BRACKETED = re.compile(r"[<\[][^>\]]*[>\]]")
_OPENING = re.compile(r"[<\[(]")
_PARENTHESISED = re.compile(r"\(([^)]+?)\)")


def raw(text: str) -> str:
    """The text as written, with runs of white space made one space and none at the ends."""
    return " ".join(text.split())


def marks(text: str) -> str:
    """The text in NFC without case, punctuation, symbols and invisible characters.

    Each punctuation mark or symbol becomes a space; letters, digits and all combining marks stay.
    Case is folded on the decomposed form (Unicode, definition D145 of canonical caseless
    matching).
    """
    decomposed = unicodedata.normalize("NFD", text).translate(_VISIBLE)
    composed = unicodedata.normalize("NFC", decomposed.casefold())
    plain = composed.translate(_WITHOUT_SYMBOLS)
    return " ".join(plain.split())


def basic(text: str) -> str:
    """The text as Whisper's `BasicTextNormalizer` gives it (Radford et al. 2022, appendix C).

    Lower case, without text in brackets, in NFKC. Marks, symbols and punctuation become spaces.
    Runs of white space become one space, even at the ends, exactly as in Whisper.
    """
    text = _BRACKETED.sub("", text.lower())
    text = _PARENTHESISED.sub("", text)
    text = unicodedata.normalize("NFKC", text).translate(_WITHOUT_SYMBOLS_AND_MARKS).lower()
    return re.sub(r"\s+", " ", text)


RAW = Way(
    name="raw",
    label="Raw",
    description="compares texts as they are written",
    normalise=raw,
    spaces_count=True,
)
MARKS = Way(
    name="marks",
    label="Marks",
    description="compares texts without case and punctuation and keeps every combining mark",
    normalise=marks,
)
BASIC = Way(
    name="basic",
    label="Basic",
    description="is Whisper's own normaliser, for comparison with published tables",
    normalise=basic,
)
# In the order of reports, and the one to look at first.
WAYS = (RAW, MARKS, BASIC)
LEADING = MARKS


class _Kept(dict[str, bool]):
    """Characters → True if they remain, alone, after every way of normalising."""

    def __missing__(self, character: str) -> bool:
        kept = all(way.normalise(character).strip() for way in WAYS)
        return self.setdefault(character, kept)


_KEPT = _Kept()


def has_text(reference: str) -> bool:
    """True if a reference still has text after every way of normalising."""
    # The first character decides for nearly every reference. Brackets may hide what follows.
    if not _OPENING.search(reference) and any(map(_KEPT.__getitem__, reference)):
        return True
    return all(way.normalise(reference).strip() for way in WAYS)
