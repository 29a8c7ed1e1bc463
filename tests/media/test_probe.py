"""What a file is, how long it lasts, and why it cannot be used."""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from asrcli.errors import (
    EmptyFileError,
    FileUnreadableError,
    InputError,
    NoAudioTrackError,
    NotAudioError,
)
from asrcli.media.probe import probe
from tests.recordings import FORMATS_MADE, VIDEO_FORMATS, damage, encode_as, recording

SPOKEN = recording("number")
CODECS = {
    "aac": "aac",
    "aiff": "pcm_s16be",
    "amr": "amr_nb",
    "avi": "mp3",
    "flac": "flac",
    "flv": "mp3",
    "m4a": "aac",
    "mkv": "flac",
    "mov": "pcm_s16le",
    "mp3": "mp3",
    "mp4": "aac",
    "mpeg": "mp2",
    "ogg": "vorbis",
    "opus": "opus",
    "wav": "pcm_s16le",
    "webm": "opus",
    "wma": "wmav2",
    "wmv": "wmav2",
}
RATES = {"amr": 8_000, "flv": 22_050, "mpeg": 44_100, "opus": 48_000, "webm": 48_000}


def wav(
    data: bytes = bytes(32_000),
    *,
    declared: int | None = None,
    whole: int | None = None,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
) -> bytes:
    """A WAV with any header: by default a second of silence, told as it is."""
    width = channels * bits // 8
    coding = struct.pack(
        "<HHIIHH", tag, channels, rate, rate * width & 0xFFFF_FFFF, width & 0xFFFF, bits
    )
    size = len(data) if declared is None else declared
    body = b"WAVEfmt \x10\0\0\0" + coding + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) if whole is None else whole) + body


def written(folder: Path, data: bytes, name: str = "x.wav") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# --- what it is -------------------------------------------------------------------------------


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_a_recording_is_described_by_its_content(
    made: Callable[[str], Path], container: str, tmp_path: Path
) -> None:
    path = tmp_path / "name.tells.nothing"
    shutil.copyfile(made(container), path)

    audio = probe(path)

    assert audio.container == container
    assert audio.codec == CODECS[container]
    assert audio.sample_rate == RATES.get(container, 16_000)
    assert audio.channels == 1
    assert audio.tracks == 1
    assert audio.has_video == (container in VIDEO_FORMATS)
    assert audio.size == path.stat().st_size
    assert audio.duration == pytest.approx(SPOKEN.seconds, abs=0.06)


def test_it_is_called_what_the_user_calls_it(made: Callable[[str], Path]) -> None:
    assert probe(made("wav"), name="calls/one.wav").name == "calls/one.wav"
    assert probe(made("wav")).name == made("wav").name


@pytest.mark.parametrize(("container", "name"), [("mp4", "m4a"), ("wmv", "wma")])
def test_without_pictures_it_goes_by_the_name_for_sound(
    container: str, name: str, tmp_path: Path
) -> None:
    path = encode_as(SPOKEN.path, container, tmp_path, video=False)

    audio = probe(path)

    assert audio.container == name
    assert not audio.has_video


def test_a_small_wav_is_known_without_importing_anything_heavy(made: Callable[[str], Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from asrcli.media.probe import probe;"
        "probe(Path(sys.argv[1]));"
        "print({'av', 'numpy', 'soundfile', 'soxr', 'pydub'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(made("wav"))], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("container", ["m4a", "ogg", "mp3", "webm", "aac"])
def test_a_length_that_is_not_needed_is_not_counted(
    made: Callable[[str], Path], container: str
) -> None:
    audio = probe(made(container), need_duration=False)

    assert audio.container == container
    assert 0 <= audio.duration < 2 * SPOKEN.seconds


def test_a_tag_in_no_known_alphabet_is_no_obstacle(tmp_path: Path) -> None:
    path = encode_as(SPOKEN.path, "mp3", tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"Lavf")
    data[at : at + 4] = b"\xff\xfe\xfd\x1b"
    path.write_bytes(data)

    assert probe(path).codec == "mp3"


# --- WAV and AIFF -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "subtype", "codec"),
    [
        ("WAV", "PCM_U8", "pcm_u8"),
        ("WAV", "PCM_24", "pcm_s24le"),
        ("WAV", "PCM_32", "pcm_s32le"),
        ("WAV", "FLOAT", "pcm_f32le"),
        ("WAV", "DOUBLE", "pcm_f64le"),
        ("WAV", "ALAW", "pcm_alaw"),
        ("WAV", "ULAW", "pcm_mulaw"),
        ("WAV", "IMA_ADPCM", "adpcm_ima_wav"),
        ("WAVEX", "PCM_16", "pcm_s16le"),
        ("RF64", "PCM_16", "pcm_s16le"),
        ("AIFF", "PCM_S8", "pcm_s8"),
        ("AIFF", "PCM_24", "pcm_s24be"),
        ("AIFF", "FLOAT", "pcm_f32be"),
        ("AIFF", "ULAW", "pcm_mulaw"),
    ],
)
def test_kinds_of_uncompressed_sound_are_known(
    form: str, subtype: str, codec: str, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    sound = np.zeros((11_025, 2), dtype=np.float32)
    soundfile.write(path, sound, 22_050, format=form, subtype=subtype)

    audio = probe(path)

    assert audio.codec == codec
    assert (audio.channels, audio.sample_rate) == (2, 22_050)
    assert audio.duration == pytest.approx(0.5, abs=0.06)


def test_a_wav_of_big_endian_numbers_is_known(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(8_000), 16_000, subtype="PCM_16", endian="BIG", format="WAV")

    audio = probe(path)

    assert (audio.codec, audio.duration) == ("pcm_s16be", 0.5)


@pytest.mark.parametrize("declared", [0, 1_000_000, 0xFFFF_FFFF])
@pytest.mark.parametrize("whole", [0, 0xFFFF_FFFF])
def test_a_size_that_is_not_true_is_not_believed(declared: int, whole: int, tmp_path: Path) -> None:
    path = written(tmp_path, wav(declared=declared, whole=whole))

    assert probe(path).duration == 1.0


def test_what_follows_the_sound_is_no_sound(tmp_path: Path) -> None:
    path = written(tmp_path, wav() + b"LIST\x0c\0\0\0INFOISFT\0\0\0\0")

    assert probe(path).duration == 1.0


def test_half_a_sample_at_the_end_does_not_count(tmp_path: Path) -> None:
    path = written(tmp_path, wav(bytes(32_001)))

    assert probe(path).duration == 1.0


@pytest.mark.parametrize(
    "header",
    [
        {"channels": 0},
        {"channels": 65},
        {"channels": 65_535},
        {"rate": 0},
        {"rate": 2**31 - 1},
        {"rate": 2**32 - 1},
        {"bits": 0},
        {"tag": 0x55},
        {"tag": 0xFFFE},
    ],
    ids=str,
)
def test_a_header_without_sense_is_refused(header: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, wav(**header))

    with pytest.raises(NotAudioError, match=r"x\.wav"):
        probe(path)


@pytest.mark.parametrize("data", [b"", wav(b""), wav()[:44], wav(b"", declared=0, whole=36)])
def test_a_file_without_sound_is_empty(data: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, data)

    with pytest.raises(EmptyFileError):
        probe(path)


# --- lengths ----------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["aac", "amr", "flac", "flv", "mkv", "mp3", "ogg", "webm"])
def test_of_a_file_cut_short_the_rest_counts(container: str, tmp_path: Path) -> None:
    source = recording("planet")
    data = encode_as(source.path, container, tmp_path).read_bytes()
    path = written(tmp_path, data[: len(data) // 2])

    seconds = probe(path).duration

    assert 0.3 * source.seconds < seconds < 0.7 * source.seconds


@pytest.mark.parametrize("container", ["mp3", "ogg", "opus", "aac"])
def test_recordings_glued_together_are_counted_together(
    made: Callable[[str], Path], container: str, tmp_path: Path
) -> None:
    path = written(tmp_path, made(container).read_bytes() * 3)

    assert probe(path).duration == pytest.approx(3 * SPOKEN.seconds, abs=0.3)


def test_an_mp3_without_a_tag_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.mp3"
    source = encode_as(SPOKEN.path, "mp3", tmp_path)
    with (
        av.open(str(source)) as old,
        av.open(
            str(path), "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}
        ) as new,
    ):
        copy = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)

    assert probe(path).duration == pytest.approx(SPOKEN.seconds, abs=0.06)


def test_a_flac_of_unknown_length_is_counted(made: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(made("flac").read_bytes())
    # STREAMINFO: the 36 bits before the checksum of 16 bytes are the number of samples.
    data[8 + 13] &= 0xF0
    data[8 + 14 : 8 + 18] = bytes(4)
    path = written(tmp_path, bytes(data))

    assert probe(path).duration == pytest.approx(SPOKEN.seconds, abs=0.001)


def test_the_end_of_a_long_matroska_is_found_without_reading_it_all(tmp_path: Path) -> None:
    source = recording("journey")
    path = encode_as(source.path, "webm", tmp_path, video=False)
    broken = bytearray(path.read_bytes())
    middle = len(broken) // 2
    broken[middle : middle + 5_000] = random.Random(1).randbytes(5_000)

    assert probe(path).duration == pytest.approx(source.seconds, abs=0.06)
    assert probe(written(tmp_path, bytes(broken))).duration == pytest.approx(
        source.seconds, abs=0.06
    )


# --- why not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["m4a", "mp4", "mov"])
def test_a_movie_cut_short_lacks_its_index(
    made: Callable[[str], Path], container: str, tmp_path: Path
) -> None:
    data = made(container).read_bytes()
    path = written(tmp_path, data[: len(data) // 2])

    with pytest.raises(NotAudioError, match=r"x\.wav: cut short: its index \(the moov atom\)"):
        probe(path)


@pytest.mark.parametrize("how", ["text", "html", "zeros", "random"])
@pytest.mark.parametrize("container", ["wav", "mp3"])
def test_a_file_that_is_something_else_is_refused(
    made: Callable[[str], Path], container: str, how: str, tmp_path: Path
) -> None:
    path = damage(made(container), how, tmp_path)

    with pytest.raises(NotAudioError, match="is not audio"):
        probe(path)


@pytest.mark.parametrize("container", sorted(set(FORMATS_MADE) - {"aiff", "wav"}))
def test_a_right_beginning_before_chance_is_refused(
    made: Callable[[str], Path], container: str, tmp_path: Path
) -> None:
    beginning = made(container).read_bytes()[: 8 if container == "amr" else 64]
    path = written(tmp_path, beginning + random.Random(1).randbytes(100_000))

    with pytest.raises(NotAudioError):
        probe(path)


@pytest.mark.parametrize("container", FORMATS_MADE)
@pytest.mark.parametrize("how", ["header", "truncated"])
def test_no_damage_is_a_bug(
    made: Callable[[str], Path], container: str, how: str, tmp_path: Path
) -> None:
    path = damage(made(container), how, tmp_path)

    with suppress(InputError):
        assert 0 < probe(path).duration < SPOKEN.seconds + 1


def test_what_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match=r"there\.wav does not exist"):
        probe(tmp_path / "there.wav")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match="calls is a folder, not a file"):
        probe(tmp_path, name="calls")


def test_a_name_with_a_null_is_no_name() -> None:
    with pytest.raises(FileUnreadableError):
        probe(Path("a\0b.wav"))


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    """Without the rights of root, if the tests run with them."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
def test_what_may_not_be_read_is_said_to_be() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = written(Path(folder), wav())
        path.chmod(0)
        with _as_somebody_else(), pytest.raises(FileUnreadableError, match="may not be read"):
            probe(path)


@pytest.mark.skipif(sys.platform == "win32", reason="has none of these in folders")
def test_no_pipe_socket_or_device_is_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")  # Names of sockets have to be short.

        with pytest.raises(FileUnreadableError, match=r"pipe\.wav is a pipe"):
            probe(pipe)
        with pytest.raises(FileUnreadableError, match="is a socket"):
            probe(Path(folder, "s"))
        with pytest.raises(FileUnreadableError, match="is a device"):
            probe(Path("/dev/zero"))


# --- tracks -----------------------------------------------------------------------------------


def tracks(path: Path, sounds: list[int], *, picture: bool = False) -> Path:
    """A Matroska with a track of a second for each number of channels, and a picture if asked."""
    with av.open(str(path), "w", format="matroska") as out:
        video: Any = out.add_stream("mpeg4", rate=25) if picture else None
        streams: list[Any] = [
            out.add_stream("pcm_s16le", rate=16_000, layout="stereo" if n == 2 else "mono")
            for n in sounds
        ]
        if video is not None:
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            for number in range(25):
                frame: Any = av.VideoFrame(32, 32, "yuv420p")
                frame.pts = number
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        for stream, n in zip(streams, sounds, strict=True):
            silence = np.zeros((1, 16_000 * n), dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(silence, "s16", stream.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def test_the_track_that_is_asked_for_is_described(tmp_path: Path) -> None:
    path = tracks(tmp_path / "x.mkv", [1, 2], picture=True)

    first, second = probe(path), probe(path, track=1)

    assert (first.track, first.tracks, first.channels) == (0, 2, 1)
    assert (second.track, second.tracks, second.channels) == (1, 2, 2)


@pytest.mark.parametrize("track", [2, -1])
def test_a_track_that_is_not_there_is_refused_with_their_number(track: int, tmp_path: Path) -> None:
    path = tracks(tmp_path / "x.mkv", [1, 2])

    with pytest.raises(NoAudioTrackError, match=f"number {track} was asked for; it has 2"):
        probe(path, track=track)


@pytest.mark.parametrize("container", ["wav", "flac", "mp3"])
def test_a_second_track_of_a_plain_recording_is_refused(
    made: Callable[[str], Path], container: str
) -> None:
    with pytest.raises(NoAudioTrackError, match="it has 1"):
        probe(made(container), track=1)


def test_pictures_without_sound_are_no_recording(tmp_path: Path) -> None:
    path = tracks(tmp_path / "x.mkv", [], picture=True)

    with pytest.raises(NoAudioTrackError, match="only pictures"):
        probe(path)


@pytest.mark.parametrize("with_sound", [True, False])
def test_a_cover_is_no_video(tmp_path: Path, *, with_sound: bool) -> None:
    path = tmp_path / "x.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound: Any = out.add_stream("aac", rate=16_000, layout="mono") if with_sound else None
        cover: Any = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        out.mux(cover.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))

    if with_sound:
        audio = probe(path)
        assert (audio.container, audio.has_video) == ("m4a", False)
    else:
        with pytest.raises(NoAudioTrackError, match="only a cover picture"):
            probe(path)


# --- what else it might have opened -----------------------------------------------------------


SECRETS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.wav\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "pls": "[playlist]\nFile1=secret.wav\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>secret.wav</BaseURL></MPD>',
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nsecret.wav\n",
    "images": "secret%03d.png",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_list_of_other_files_is_refused_unread(kind: str, tmp_path: Path) -> None:
    secret = Path(shutil.copyfile(SPOKEN.path, tmp_path / "secret.wav"))
    path = tmp_path / "x.wav"
    path.write_text(SECRETS[kind])
    before = secret.stat().st_atime_ns

    with pytest.raises(NotAudioError, match="it looks like"):
        probe(path)

    assert secret.stat().st_atime_ns == before


NAMES = [
    "http:x.wav",
    "concat:a|b.wav",
    "a:b.wav",
    "-y.wav",
    "-",
    "pipe:0",
    "file:x.wav",
    "subfile,,start,0,end,9,,:x.wav",
    "data:audio,x.wav",
    "%03d.wav",
    "line\nbreak.wav",
    "\udcff.wav",
    "ü😀.wav",
]


@pytest.mark.skipif(sys.platform == "win32", reason="allows no such names")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("container", ["wav", "flac", "mp3", "m4a"])
def test_a_name_is_only_a_name(
    made: Callable[[str], Path],
    container: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copyfile(made(container), tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert probe(Path(name)).container == container


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_libraries_write_nothing_to_standard_error(
    made: Callable[[str], Path],
    container: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = bytearray(made(container).read_bytes())
    rng = random.Random(1)
    for at in range(200, len(data) - 40, len(data) // 7):
        data[at : at + 40] = rng.randbytes(40)
    for name, content in {"holes": bytes(data), "cut": bytes(data[: len(data) // 3])}.items():
        with suppress(InputError):
            probe(written(tmp_path, content, name))

    assert capfd.readouterr() == ("", "")


def test_a_header_before_nothing_but_zeros_is_damaged_whatever_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with path.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WAVE")
        file.truncate(1 << 33)  # FFmpeg would take hours

    with pytest.raises(NotAudioError, match="zeros"):
        probe(path)
