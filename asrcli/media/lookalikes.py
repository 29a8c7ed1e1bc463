"""Name what a file is that holds no sound, for the sentence that refuses it."""

from __future__ import annotations

import codecs
import re

__all__ = ["lookalike"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"FWS", "a Flash animation"),
    (b"CWS", "a Flash animation"),
    (b"\0\0\x01\xb3", "an MPEG video without sound"),
)
_RIFF = {b"WEBP": "a WebP picture", b"RMID": "a MIDI file, which holds notes and no sound"}
_PICTURE_BRANDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jxl "}

_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"#EXTM3U"), "an M3U or HLS playlist"),
    (re.compile(r"ffconcat\s+version"), "an ffconcat list"),
    (re.compile(r"\[playlist\]", re.IGNORECASE), "a PLS playlist"),
    (re.compile(r"v=0\r?\n[\s\S]*^[mos]=", re.MULTILINE), "a session description (SDP)"),
    (re.compile(r"WEBVTT\b"), "WebVTT subtitles"),
    (re.compile(r"\d+\r?\n\d\d:\d\d:\d\d,\d{3} -->"), "SRT subtitles"),
    (re.compile(r"\[Script Info\]"), "ASS subtitles"),
    # What was taken for a comment stays one (`?>`, `*+`): the ways to cut a text of nothing but
    # comments into them are more than can be tried.
    (
        re.compile(
            r"(<\?xml[^>]*+>\s*+)?+(?><!--[\s\S]*?-->\s*+)*+<(!doctype\s+html|html)\b",
            re.IGNORECASE,
        ),
        "HTML",
    ),
    (re.compile(r"<\?xml\b|<[a-z!]", re.IGNORECASE), "XML"),
    (re.compile(r"\{\s*(\"|\})|\[\s*(\{|\"|\[|\])"), "JSON"),
)
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SAMPLE = 4_096


def lookalike(head: bytes) -> str | None:
    """What a file that begins with `head` looks like, as in "it looks like …"; None if unknown."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return "a picture"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "a BMP picture"
    text = _text(head[:_SAMPLE])
    return _kind_of_text(text) if text is not None else None


def _kind_of_text(text: str) -> str:
    start = text.lstrip("\ufeff \t\r\n")
    return next((name for pattern, name in _TEXTS if pattern.match(start)), "a text file")


def _text(sample: bytes) -> str | None:
    """The sample as text, or None if it is not."""
    encoding = next((name for mark, name in _BOMS if sample.startswith(mark)), None)
    encoding = encoding or _encoding(sample)
    text = sample.decode(encoding, "ignore") if encoding else ""
    return text if text and not _CONTROLS.search(text) else None


def _encoding(sample: bytes) -> str | None:
    if 0 in sample:
        # Text in UTF-16 without a mark, if it is Latin: every other byte is zero.
        for odd, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if not any(sample[odd::2]) and all(sample[1 - odd :: 2]):
                return name
        return None
    try:
        # A character may be cut in two at the end.
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        # An 8-bit alphabet, if most of it is ASCII.
        return "latin-1" if sum(byte > 0x7F for byte in sample) * 4 < len(sample) else None
    return "utf-8"
