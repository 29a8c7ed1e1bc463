"""What a file is shows in its bytes, never in its name."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrcli.media.formats import FORMATS, HEAD_BYTES, read_head, sniff
from asrcli.media.lookalikes import lookalike
from tests.recordings import FORMATS_MADE, encode_as, recording

MEGABYTE = 1_000_000


def sniffed(data: bytes) -> str | None:
    return sniff(read_head(io.BytesIO(data)), whole=len(data) <= HEAD_BYTES)


def id3(size: int) -> bytes:
    """An ID3 tag with a picture of `size` bytes."""
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + length + b"\xff\xd8\xff" + bytes(size - 3)


def remuxed(source: Path, muxer: str, target: Path) -> Path:
    """The packets of the first audio track in another container."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=muxer) as new:
        track = old.streams.audio[0]
        copy = new.add_stream_from_template(track)
        for packet in old.demux(track):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    return target


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_a_container_is_known_by_its_content(made: Callable[[str], Path], container: str) -> None:
    assert sniffed(made(container).read_bytes()) == container


@pytest.mark.parametrize("container", FORMATS)
def test_a_container_has_a_demuxer_that_exists(container: str) -> None:
    for name in FORMATS[container].demuxers:
        assert av.format.ContainerFormat(name, "r").is_input


@pytest.mark.parametrize("muxer", ["caf", "au", "w64", "3gp"])
def test_rarer_containers_are_known(
    made: Callable[[str], Path], muxer: str, tmp_path: Path
) -> None:
    source = made("m4a" if muxer == "3gp" else "wav")
    path = tmp_path / "x"
    if muxer == "au":
        path.write_bytes(b".snd" + (24).to_bytes(4, "big") + bytes(4) + bytes(12))
    else:
        remuxed(source, muxer, path)

    assert sniffed(path.read_bytes()) == muxer


@pytest.mark.parametrize(
    ("start", "container"),
    [
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"RIFX\0\0\0\x24WAVEfmt ", "wav"),
        (b"#!AMR-WB\n\x04", "amr"),
        (b"FORM\0\0\0\x2eAIFCFVER", "aiff"),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "mov"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", "mov"),
        (b"\0\0\0\x0cfree\0\0\0\0\0\0\0\x20ftypM4A \0\0\0\0", "m4a"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x18ftyp3gp4", "3gp"),
        (b"\0\0\0\x18ftypdash", "mp4"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "mkv"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x86\x81\x01", "mkv"),
        (b"\0\0\x01\xba\x44\0\x04\0\x04\x01", "mpeg"),
    ],
)
def test_other_beginnings_are_known(start: bytes, container: str) -> None:
    assert sniffed(start + bytes(100)) == container


def test_a_transport_stream_is_mpeg_with_a_demuxer_of_its_own(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = remuxed(made("mpeg"), "mpegts", tmp_path / "x.ts")

    head = path.read_bytes()[:HEAD_BYTES]

    assert sniff(head) == "mpeg"
    assert FORMATS["mpeg"].demuxer(head) == "mpegts"


def test_aac_in_latm_is_aac_with_a_demuxer_of_its_own(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = remuxed(made("m4a"), "latm", tmp_path / "x.aac")

    head = path.read_bytes()[:HEAD_BYTES]

    assert sniff(head) == "aac"
    assert FORMATS["aac"].demuxer(head) == "loas"


@pytest.mark.parametrize("container", ["flac", "mp3", "aac"])
@pytest.mark.parametrize("size", [100, MEGABYTE])
def test_a_tag_in_front_is_stepped_over(
    made: Callable[[str], Path], container: str, size: int
) -> None:
    assert sniffed(id3(size) + made(container).read_bytes()) == container


@pytest.mark.parametrize("container", ["mp3", "aac"])
def test_a_stream_that_begins_in_the_middle_of_a_frame_is_known(
    made: Callable[[str], Path], container: str
) -> None:
    data = made(container).read_bytes()

    assert sniffed(data[len(data) // 3 :]) == container


def test_a_matroska_that_ends_in_its_name_is_no_bug() -> None:
    assert sniffed(b"\x1a\x45\xdf\xa3\x93\x42\x82") == "mkv"


def test_one_header_of_mpeg_audio_is_not_enough() -> None:
    assert sniffed(b"\xff\xfb\x50\x00" + bytes(5_000)) is None


def test_chance_is_never_taken_for_sound() -> None:
    found = {sniffed(random.Random(seed).randbytes(HEAD_BYTES)) for seed in range(100)}

    assert found == {None}


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd_to_be_looked_at(data: bytes) -> None:
    assert sniffed(data) is None or sniffed(data) in FORMATS


def test_opus_in_ogg_is_opus_and_vorbis_is_ogg(tmp_path: Path) -> None:
    opus = encode_as(recording("number").path, "opus", tmp_path).rename(tmp_path / "a.ogg")
    vorbis = encode_as(recording("number").path, "ogg", tmp_path).rename(tmp_path / "b.opus")

    assert sniffed(opus.read_bytes()) == "opus"
    assert sniffed(vorbis.read_bytes()) == "ogg"


LOOKALIKES = [
    (b"Just words.\n", "a text file"),
    ("Die Größe der Blöcke ist gleich.\n".encode("latin-1"), "a text file"),
    ("会議の記録\n".encode() * 3_000, "a text file"),
    ("Words in UTF-16.".encode("utf-16"), "a text file"),
    ("Words in UTF-16.".encode("utf-16-be"), "a text file"),
    (b"#EXTM3U\n#EXT-X-VERSION:3\nsecret.wav\n", "an M3U or HLS playlist"),
    (b"\xef\xbb\xbf#EXTM3U\nsecret.wav\n", "an M3U or HLS playlist"),
    ("#EXTM3U\nsecret.wav\n".encode("utf-16"), "an M3U or HLS playlist"),
    (b"ffconcat version 1.0\nfile secret.wav\n", "an ffconcat list"),
    (b"[playlist]\nFile1=secret.wav\n", "a PLS playlist"),
    (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
        "a session description (SDP)",
    ),
    (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n", "WebVTT subtitles"),
    (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHi\r\n", "SRT subtitles"),
    (b"[Script Info]\nTitle: x\n", "ASS subtitles"),
    (b"<!DOCTYPE html><title>404</title>", "HTML"),
    (b'<?xml version="1.0"?>\n<!-- a --> <!-- b -->\n<html lang="en">', "HTML"),
    (b'<?xml version="1.0"?><MPD>', "XML"),
    (b"<!---->" * 580, "XML"),  # which has 2 to the power of 579 ways to be comments
    (b'{"error": "not found"}', "JSON"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG picture"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
    (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP picture"),
    (b"\0\0\0\x18ftypheic\0\0\0\0", "a picture"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"PK\x03\x04\x14\0\0\0", "a ZIP archive"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip archive"),
    (b"MThd\0\0\0\x06", "a MIDI file, which holds notes and no sound"),
    (b"\x7fELF\x02\x01\x01\0", "a program"),
]


@pytest.mark.parametrize(("data", "name"), LOOKALIKES)
def test_what_is_no_sound_is_named_and_refused(data: bytes, name: str) -> None:
    assert lookalike(data) == name
    assert sniffed(data) is None


@pytest.mark.parametrize("data", [bytes(64), b"\xff" * 5_000, random.Random(1).randbytes(5_000)])
def test_what_looks_like_nothing_is_not_named(data: bytes) -> None:
    assert lookalike(data) is None
    assert sniffed(data) is None


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_no_recording_looks_like_something_else(
    made: Callable[[str], Path], container: str
) -> None:
    assert lookalike(made(container).read_bytes()[:HEAD_BYTES]) is None
