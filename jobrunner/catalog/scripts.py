"""Scripts by their ISO 15924 codes, and the script of a letter.

In the Unicode Character Database the name of a letter begins with its script.
"""

from __future__ import annotations

import unicodedata

# Code → name for people.
_SCRIPTS = {
    "Adlm": "Adlam",
    "Arab": "Arabic",
    "Armn": "Armenian",
    "Beng": "Bengali",
    "Cyrl": "Cyrillic",
    "Deva": "Devanagari",
    "Ethi": "Ethiopic",
    "Geor": "Georgian",
    "Grek": "Greek",
    "Gujr": "Gujarati",
    "Guru": "Gurmukhi",
    "Hans": "Han",
    "Hant": "Han",
    "Hebr": "Hebrew",
    "Java": "Javanese",
    "Jpan": "Japanese",
    "Khmr": "Khmer",
    "Knda": "Kannada",
    "Kore": "Korean",
    "Laoo": "Lao",
    "Latn": "Latin",
    "Mlym": "Malayalam",
    "Mong": "Mongolian",
    "Mymr": "Myanmar",
    "Orya": "Oriya",
    "Sinh": "Sinhala",
    "Sund": "Sundanese",
    "Taml": "Tamil",
    "Telu": "Telugu",
    "Thai": "Thai",
    "Tibt": "Tibetan",
}
# First words of the Unicode names of its letters, where these are not the script's name.
_WORDS = {
    "Han": ("CJK", "BOPOMOFO", "IDEOGRAPHIC"),
    "Japanese": ("HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC"),
    "Korean": ("HANGUL", "CJK"),
}


def name(code: str) -> str:
    """Name of a script for people."""
    return _SCRIPTS[code]


def words(code: str) -> frozenset[str]:
    """First words of the Unicode names of a script's letters."""
    return frozenset(_WORDS.get(name(code), (name(code).upper(),)))


def word(character: str) -> str:
    """First word of a letter's Unicode name; empty if it is not a letter of one script."""
    if not unicodedata.category(character).startswith("L"):
        return ""
    first = unicodedata.name(character, "").partition(" ")[0]
    return first if first in _LETTERS else ""


def written_in(first: str) -> str:
    """Name of a script that has letters of this first word."""
    return next(name(code) for code in _SCRIPTS if first in words(code))


_LETTERS = frozenset(one for code in _SCRIPTS for one in words(code))
