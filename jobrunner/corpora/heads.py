"""Recognises a file by its first bytes: audio, or one of the things that stand in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bytes to read. An MP3 may begin with junk, in which its first frame is looked for.
SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The kind of a file that is not what it should be."""

    one: str
    """For one file: `a Git LFS pointer`."""
    many: str
    """For several, after "are": `Git LFS pointers`."""
    hint: str = ""
    """What to do."""
    sure: bool = True
    """False if a decoder may read it all the same."""


_FORMATS = "Formats: WAV, FLAC, MP3, Ogg Vorbis, Opus."
_CONVERT = "Convert them, such as with `ffmpeg -i IN OUT.flac`."
LFS = Kind(
    one="a Git LFS pointer",
    many="Git LFS pointers, not the files themselves",
    hint="Run `git lfs pull` in that folder.",
)
_PAGE = Kind(one="a web page", many="web pages", hint="Download the files themselves.")
_ZIP = Kind(one="a zip archive", many="zip archives", hint="Unpack them.")
_GZIP = Kind(one="a gzip archive", many="gzip archives", hint="Unpack them.")
_EMPTY = Kind(one="empty", many="empty", hint="Copy them again.")
_CUT = Kind(one="cut off", many="cut off within their header", hint="Copy them again.")
TEXT = Kind(one="a text", many="texts", hint=_FORMATS)
_UNKNOWN = Kind(
    one="of no known audio format", many="of no known audio format", hint=_FORMATS, sure=False
)


def _unread(name: str) -> Kind:
    return Kind(one=f"{name} audio", many=f"{name} audio, which is not read", hint=_CONVERT)


# A file with fewer bytes has a header and no sound.
_SMALLEST = 44
_LFS_START = b"version https://git-lfs"
_PAGE_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml|head|body|error)\b", re.IGNORECASE
)
# The start of a frame of MPEG 1, 2 or 2.5, with a layer, a bit rate and a sampling rate that exist.
_RATES = bytes(byte for byte in range(0xF0) if byte & 0x0C != 0x0C)
_FRAME = re.compile(b"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + re.escape(_RATES) + b"]", re.DOTALL)
# What libsndfile reads, as each format begins.
_AUDIO = (
    *(b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b"caff"),
    *(b".snd", b"dns.", b"NIST_1A", b"Creative Voice File"),
)
# Names that promise one of these. Others, such as .raw and .gsm, may begin with anything.
_PROMISED = re.compile(r"\.(?:wav|wave|flac|ogg|oga|opus|aif|aiff|aifc|caf|au)$", re.IGNORECASE)
_MP3 = re.compile(r"\.mp3$", re.IGNORECASE)
_OTHERS = (
    (re.compile(_LFS_START), LFS),
    (_PAGE_START, _PAGE),
    (re.compile(rb"....ftyp", re.DOTALL), _unread("MP4 or AAC")),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), _unread("AAC")),
    (re.compile(rb"\x1aE\xdf\xa3"), _unread("WebM or Matroska")),
    (re.compile(rb"0&\xb2u\x8ef\xcf\x11"), _unread("WMA")),
    (re.compile(rb"#!AMR"), _unread("AMR")),
    (re.compile(rb"PK\x03\x04"), _ZIP),
    (re.compile(rb"\x1f\x8b"), _GZIP),
    (re.compile(rb"[\t\r\n\x20-\x7e]+\Z"), TEXT),
)


def instead_of_audio(head: bytes, name: str) -> Kind | None:
    """The kind of a file that should be audio and is not; None if it may be audio.

    Args:
        head: its first `SIZE` bytes, or all of them.
        name: its name, whose end promises a format.
    """
    if not head:
        return _EMPTY
    if head.startswith(_AUDIO) or _FRAME.match(head):
        return None if len(head) >= _SMALLEST else _CUT
    for pattern, kind in _OTHERS:
        if pattern.match(head):
            return kind
    if _MP3.search(name):
        return None if _FRAME.search(head) else _UNKNOWN
    return _UNKNOWN if _PROMISED.search(name) else None


def instead_of_text(head: bytes) -> tuple[str, str]:
    """Says what a file is that should be text in UTF-8, and what to do; empty if it may be."""
    utf8 = "Save it as UTF-8."
    if head.startswith(_LFS_START):
        return LFS.one, LFS.hint
    if _PAGE_START.match(head):
        return _PAGE.one, "Download the table itself."
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "a spreadsheet or an archive", "Export it as a .csv in UTF-8."
    if head.startswith(b"\x1f\x8b"):
        return _GZIP.one, "Unpack it."
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "UTF-32, not UTF-8", utf8
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16, not UTF-8", utf8
    if 4 * head.count(0) > len(head):
        return "not UTF-8 but UTF-16, as it looks", utf8
    if 0 in head:
        return "not a text: it has bytes that are 0", utf8
    return "", ""
