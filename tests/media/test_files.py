"""Files that fail do so in our words, not in the middle of a library."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from asrcli.errors import FileUnreadableError
from asrcli.media.demux import opened_media
from asrcli.media.files import QuietReader, QuietWriter, open_regular


class Failing(io.BytesIO):
    """A disk that gives up after some bytes."""

    def __init__(self, data: bytes = b"", *, after: int = 0) -> None:
        super().__init__(data)
        self.after = after

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > self.after:
            raise OSError(errno.EIO, "Input/output error")
        return data

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failure_while_reading_is_named_like_one_while_opening(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")

    with (
        pytest.raises(FileUnreadableError, match=r"a\.wav cannot be read: Input/output error"),
        open_regular(path, "a.wav"),
    ):
        raise OSError(errno.EIO, "Input/output error")


def test_a_reader_that_fails_seems_to_end_and_says_why_when_asked() -> None:
    reader = QuietReader(Failing(bytes(100), after=50))

    assert len(reader.read(50)) == 50
    reader.check()
    assert reader.read(50) == b""
    assert reader.read(1) == b""
    with pytest.raises(OSError, match="Input/output"):
        reader.check()


def test_a_reader_goes_to_no_place_before_the_start() -> None:
    reader = QuietReader(io.BytesIO(bytes(10)))

    assert reader.seek(-1) == -1
    assert reader.seek(4) == reader.tell() == 4
    reader.check()


def test_a_writer_that_fails_takes_the_rest_and_says_why_when_asked() -> None:
    writer = QuietWriter(Failing())

    assert writer.write(b"abc") == 3
    assert writer.write(b"de") == 2
    assert writer.seek(7) == 7
    assert writer.tell() == 0
    with pytest.raises(OSError, match="No space left"):
        writer.check()


def test_a_disk_that_fails_under_ffmpeg_is_what_is_reported(
    made: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    data = made("mp3").read_bytes()

    with (
        pytest.raises(OSError, match="Input/output"),
        opened_media(Failing(data * 20, after=70_000), "mp3") as source,
    ):
        list(source.demux(audio=0))

    assert capfd.readouterr() == ("", "")
