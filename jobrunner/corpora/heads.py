"""What the first bytes of a file show: audio, or one of the things that stand in its place."""

from __future__ import annotations

import re

# Bytes to read. An MP3 may begin with junk, in which its first frame is looked for.
SIZE = 1024
LFS = "a Git LFS pointer"
LFS_HINT = "Run `git lfs pull` in its folder."

# A file with fewer bytes has a header and no sound.
_SMALLEST = 44
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml|head|body|error)\b", re.I)
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e]+")
# The start of a frame of MPEG 1, 2 or 2.5, with a layer, a bit rate and a sampling rate that exist.
_RATES = bytes(byte for byte in range(0xF0) if byte & 0x0C != 0x0C)
_FRAME = re.compile(b"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + re.escape(_RATES) + b"]", re.S)
# What libsndfile reads, as each format begins.
_AUDIO = (
    *(b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b"caff"),
    *(b".snd", b"dns.", b"NIST_1A", b"Creative Voice File"),
)
# Names that promise one of these. Others, such as .raw and .gsm, may begin with anything.
_PROMISED = re.compile(r"\.(?:wav|wave|flac|ogg|oga|opus|aif|aiff|aifc|caf|au)$", re.I)
_MP3 = re.compile(r"\.mp3$", re.I)
_OTHERS = (
    (re.compile(rb"version https://git-lfs"), LFS),
    (_PAGE, "a web page"),
    (re.compile(rb"....ftyp", re.S), "MP4 or AAC audio, which is not read"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "AAC audio, which is not read"),
    (re.compile(rb"\x1aE\xdf\xa3"), "WebM or Matroska audio, which is not read"),
    (re.compile(rb"0&\xb2u\x8ef\xcf\x11"), "WMA audio, which is not read"),
    (re.compile(rb"#!AMR"), "AMR audio, which is not read"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"\x1f\x8b"), "a gzip archive"),
)
UNKNOWN = "of no known audio format"


def instead_of_audio(head: bytes, name: str) -> str:
    """What a file is that should be audio; empty if it may be audio.

    Args:
        head: its first `SIZE` bytes, or all of them.
        name: its name, whose end promises a format.
    """
    if not head:
        return "empty"
    if head.startswith(_AUDIO):
        return "" if len(head) >= _SMALLEST else f"cut off after {len(head)} bytes"
    for pattern, what in _OTHERS:
        if pattern.match(head):
            return what
    if _TEXT.fullmatch(head):
        return "a text, not audio"
    if _MP3.search(name):
        return "" if _FRAME.search(head) else UNKNOWN
    return UNKNOWN if _PROMISED.search(name) else ""


def instead_of_text(head: bytes) -> tuple[str, str]:
    """What a file is that should be text in UTF-8, and what to do; empty texts if it may be."""
    if head.startswith(b"version https://git-lfs"):
        return LFS, LFS_HINT
    if _PAGE.match(head):
        return "a web page", "Download the table itself."
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "a spreadsheet or an archive", "Export it as a .csv in UTF-8."
    if head.startswith(b"\x1f\x8b"):
        return "a gzip archive", "Unpack it."
    for marks, name in (((b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "UTF-32"), ((b"\xff\xfe",), "UTF-16")):
        if head.startswith(marks):
            return f"{name}, not UTF-8", "Save it as UTF-8."
    if head.startswith(b"\xfe\xff") or b"\0" in head:
        return "UTF-16, not UTF-8, as it looks", "Save it as UTF-8."
    return "", ""
