"""The containers that are known, and how to tell them apart by their content.

A name's suffix is never asked. What `sniff` finds decides which one demuxer of FFmpeg may look at
the file, so that a playlist or a script that calls itself `x.wav` is never followed anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from asrcli.media.framing import find_adts, find_latm, find_mpeg_audio, is_amr
from asrcli.media.lookalikes import lookalike

__all__ = ["FORMATS", "HEAD_BYTES", "Format", "read_head", "sniff", "sound_start"]

HEAD_BYTES = 65_536
"""How much of a file `sniff` wants to see: the first page, header or few frames of anything."""


@dataclass(frozen=True, slots=True)
class Format:
    """A container: what to declare it as, and who may open it."""

    name: str
    mime_type: str
    demuxers: tuple[str, ...]
    """FFmpeg's names; the usual one first, `demuxer` picks by content where there are several."""
    soundfile: bool = False
    """True if libsndfile reads it without a loss, and without writing to standard error."""

    def demuxer(self, head: bytes) -> str:
        """The one demuxer to force for a file that begins with `head` (without any ID3 tag)."""
        if self.name == "mpeg" and _is_transport_stream(head):
            return "mpegts"
        if self.name == "aac" and find_latm(head) is not None:
            return "loas"
        return self.demuxers[0]


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("aac", "audio/aac", ("aac", "loas")),
        Format("aiff", "audio/aiff", ("aiff",), soundfile=True),
        Format("amr", "audio/amr", ("amr",)),
        Format("au", "audio/basic", ("au",)),
        Format("avi", "video/x-msvideo", ("avi",)),
        Format("caf", "audio/x-caf", ("caf",)),
        Format("flac", "audio/flac", ("flac",), soundfile=True),
        Format("flv", "video/x-flv", ("flv",)),
        Format("3gp", "video/3gpp", ("mov",)),
        Format("m4a", "audio/mp4", ("mov",)),
        Format("mkv", "video/x-matroska", ("matroska",)),
        Format("mov", "video/quicktime", ("mov",)),
        Format("mp3", "audio/mpeg", ("mp3",)),
        Format("mp4", "video/mp4", ("mov",)),
        Format("mpeg", "video/mpeg", ("mpeg", "mpegts")),
        # libsndfile reads Ogg too, but of chained streams only the first, and it closes gaps.
        Format("ogg", "audio/ogg", ("ogg",)),
        Format("opus", "audio/ogg", ("ogg",)),
        Format("w64", "audio/x-w64", ("w64",)),
        Format("wav", "audio/wav", ("wav",), soundfile=True),
        Format("webm", "video/webm", ("matroska",)),
        Format("wma", "audio/x-ms-wma", ("asf",)),
        Format("wmv", "video/x-ms-wmv", ("asf",)),
    )
}
"""By name: the sixteen that the services know, and those that are converted for them."""

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_EBML = bytes.fromhex("1a45dfa3")

_QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"pnot"}


def sniff(head: bytes, *, whole: bool = False) -> str | None:
    """Name the container of a file by its first bytes (see `read_head`), or None.

    `whole` says that `head` is all there is. Where pictures decide between two names, the one
    that fits what can be seen here is given: `mp4` for `m4a` without its brand, `wma` for `wmv`.
    """
    if lookalike(head) is not None:
        return None
    for find in (_riff, _tagged, _iso_media, _ogg, _matroska, _asf, _mpeg_stream):
        if name := find(head):
            return name
    return _frames(head, whole=whole)


def read_head(file: BinaryIO) -> bytes:
    """The first `HEAD_BYTES` behind any ID3 tags; the file is left where it was found."""
    place = file.tell()
    file.seek(sound_start(file))
    head = file.read(HEAD_BYTES)
    file.seek(place)
    return head


def sound_start(file: BinaryIO) -> int:
    """Where a file begins behind any ID3 tags, in bytes; the file is left where it was found.

    A tag may hold megabytes of pictures, so it is stepped over and not read.
    """
    place = file.tell()
    position = 0
    while True:
        file.seek(position)
        length = _id3_length(file.read(10))
        if not length:
            break
        position += length
    file.seek(place)
    return position


def _id3_length(head: bytes) -> int:
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _riff(head: bytes) -> str | None:
    if head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"}:
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12])
    if head[:16] == _W64:
        return "w64"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "aiff"
    return None


def _tagged(head: bytes) -> str | None:
    tags = {b"fLaC": "flac", b"#!AM": "amr", b"FLV\x01": "flv", b"caff": "caf", b".snd": "au"}
    name = tags.get(head[:4])
    return None if name == "amr" and not is_amr(head) else name


def _iso_media(head: bytes) -> str | None:
    kind, brand = head[4:8], head[8:12]
    if kind in {b"free", b"skip"}:
        length = int.from_bytes(head[:4], "big")
        return _iso_media(head[length:]) if 8 <= length < len(head) else None
    if kind in _QUICKTIME_ATOMS:
        return "mov"
    if kind not in {b"ftyp", b"styp"}:
        return None
    if brand in {b"M4A ", b"M4B ", b"M4P "}:
        return "m4a"
    if brand[:2] == b"3g":
        return "3gp"
    return "mov" if brand == b"qt  " else "mp4"


def _ogg(head: bytes) -> str | None:
    if head[:4] != b"OggS":
        return None
    first = head[27 + head[26] :] if len(head) > 27 else b""
    return "opus" if first.startswith(b"OpusHead") else "ogg"


def _matroska(head: bytes) -> str | None:
    if head[:4] != _EBML:
        return None
    # Element DocType: its identifier, one byte of length, the name.
    at = head.find(b"\x42\x82", 4, 256)
    length = head[at + 2] & 0x7F if 0 < at < len(head) - 2 else 0
    name = head[at + 3 : at + 3 + length].rstrip(b"\0") or b"matroska"
    return {b"webm": "webm", b"matroska": "mkv"}.get(name)


def _asf(head: bytes) -> str | None:
    if head[:16] != _ASF:
        return None
    return "wmv" if _ASF_VIDEO in head else "wma"


def _mpeg_stream(head: bytes) -> str | None:
    return "mpeg" if head[:4] == b"\0\0\x01\xba" or _is_transport_stream(head) else None


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, or, from cameras and discs, of 192 with a time in front."""
    for start, step in ((0, 188), (4, 192)):
        marks = head[start : start + 8 * step : step]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return True
    return False


def _frames(head: bytes, *, whole: bool) -> str | None:
    """Sound without a container: at the very start, else after the remains of a cut-off frame."""
    for search in (False, True):
        if (
            find_adts(head, whole=whole, search=search) is not None
            or find_latm(head, search=search) is not None
        ):
            return "aac"
        if find_mpeg_audio(head, whole=whole, search=search) is not None:
            return "mp3"
    return None
