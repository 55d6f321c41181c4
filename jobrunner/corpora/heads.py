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


# Thousands of bits a second of layer III, by index: of MPEG 1, and of MPEG 2 and 2.5.
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
# Samples a second by index, of MPEG 1; those of MPEG 2 are half of them, of 2.5 a quarter.
_MP3_RATES = (44_100, 48_000, 32_000)


def seconds(head: bytes, size: int) -> float:
    """Seconds of sound in a WAV, FLAC or MP3 file; 0 for another, or if its head does not say.

    Args:
        head: its first `SIZE` bytes.
        size: bytes of the whole file.
    """
    if head.startswith(b"RIFF") and (at := head.find(b"fmt ")) > 0:
        return size / (int.from_bytes(head[at + 16 : at + 20], "little") or float("inf"))
    if head.startswith(b"fLaC"):
        # STREAMINFO: 20 bits of rate, 8 of channels and sample size, 36 of samples.
        packed = int.from_bytes(head[18:26], "big")
        return (packed & (1 << 36) - 1) / ((packed >> 44) or float("inf"))
    frame = _FRAME.search(head)
    if frame and (head.startswith(b"ID3") or frame.start() == 0):
        return _seconds_of_mp3(head[frame.start() :], size)
    return 0.0


def _seconds_of_mp3(head: bytes, size: int) -> float:
    """Seconds by the number of frames if a header of Xing's has it, else by the bit rate."""
    version, index = head[1] >> 3 & 3, head[2] >> 2 & 3  # version: 3 is MPEG 1, 2 is 2, 0 is 2.5
    at = max(head.find(b"Xing"), head.find(b"Info"))
    if 0 < at < 64 and head[at + 7 : at + 8] and head[at + 7] & 1:
        samples = 1152 if version == 3 else 576
        rate = _MP3_RATES[index] / {3: 1, 2: 2}.get(version, 4)
        return int.from_bytes(head[at + 8 : at + 12], "big") * samples / rate
    bits = (_MPEG_1 if version == 3 else _MPEG_2)[head[2] >> 4]
    return size * 8 / (1000 * bits) if bits else 0.0


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
