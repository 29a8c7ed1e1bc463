"""Streams that are terminals, pipes, closed, full, of other encodings (T02-T04, T07-T09)."""

from __future__ import annotations

import errno
import io
import os
import threading
from typing import BinaryIO

import pytest

from asrcli.errors import OutputError
from asrcli.output.terminal import DataStream, NoticeStream, is_dumb, size, wants_color
from tests.output.screens import TerminalStream

posix = pytest.mark.skipif(os.name == "nt", reason="pipes and devices as POSIX has them")


class FullStream(io.StringIO):
    """Standard error on a full disk."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.tries = 0
        self._error = error

    def write(self, text: str) -> int:
        self.tries += 1
        raise self._error


# --- color ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": "", "FORCE_COLOR": "1"}, False, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("always", {"TERM": "dumb"}, False, True),
    ],
)
def test_the_flag_beats_no_color_beats_force_color_beats_detection(
    choice: str, environ: dict[str, str], terminal: bool, colored: bool
) -> None:
    assert wants_color(choice, environ, terminal=terminal) is colored


def test_a_dumb_terminal_is_known_by_its_name() -> None:
    assert is_dumb({"TERM": "dumb"})
    assert not is_dumb({"TERM": "xterm-256color"})
    assert not is_dumb({})


# --- size -------------------------------------------------------------------------------------


def test_a_stream_without_a_size_has_the_usual_one() -> None:
    assert size(io.StringIO(), {}) == (80, 25)


@pytest.mark.parametrize(("columns", "width"), [("20", 20), ("0", 80), ("x", 80), ("²", 80)])
def test_a_width_can_be_given_by_a_variable(columns: str, width: int) -> None:
    assert size(io.StringIO(), {"COLUMNS": columns})[0] == width


# --- standard output --------------------------------------------------------------------------


@pytest.fixture
def pipe() -> tuple[int, BinaryIO]:
    reader, writer = os.pipe()
    return reader, os.fdopen(writer, "wb")


def test_standard_output_that_is_closed_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="cannot write output: it is closed"):
        DataStream(None).write(b"x")


def test_a_stream_that_python_has_closed_is_an_output_error() -> None:
    stream = io.BytesIO()
    stream.close()

    with pytest.raises(OutputError, match="cannot write output: it is closed"):
        DataStream(stream).write(b"x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_is_an_output_error_and_said_once() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        out = DataStream(full)

        out.write(b"x")
        with pytest.raises(OutputError, match="cannot write output: no space left on device"):
            out.flush()

        out.close()
        full.flush()  # as Python does at its end


@posix
def test_a_reader_that_went_away_is_told_from_a_failure_and_not_heard_of_again(
    pipe: tuple[int, BinaryIO],
) -> None:
    reader, writer = pipe
    os.close(reader)
    with writer:
        out = DataStream(writer)

        out.write(b"x")
        with pytest.raises(BrokenPipeError):
            out.flush()

        out.close()
        writer.flush()  # as Python does at its end


@posix
def test_a_pipe_that_does_not_block_gets_all_of_it(pipe: tuple[int, BinaryIO]) -> None:
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    data = b"0123456789abcdef" * 50_000
    taken = bytearray()

    def take() -> None:
        with os.fdopen(reader, "rb") as file:
            taken.extend(file.read())

    thread = threading.Thread(target=take)
    thread.start()
    with writer:
        out = DataStream(writer)
        out.write(data)
        out.flush()
    thread.join()

    assert bytes(taken) == data


def test_closing_a_stream_that_works_keeps_it_working(pipe: tuple[int, BinaryIO]) -> None:
    reader, writer = pipe
    with writer:
        out = DataStream(writer)
        out.write(b"one ")
        out.close()
        writer.write(b"two")
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"one two"


# --- standard error ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        None,
        FullStream(OSError(errno.ENOSPC, "full")),
        FullStream(ValueError("closed")),
        FullStream(BrokenPipeError()),
    ],
)
def test_standard_error_never_fails(stream: FullStream | None) -> None:
    notices = NoticeStream(stream)

    notices.write("one")
    notices.write("two")
    notices.close()

    assert stream is None or stream.tries == 1


def test_a_line_that_would_have_to_wait_is_lost_alone() -> None:
    stream = FullStream(BlockingIOError())
    notices = NoticeStream(stream)

    notices.write("one")
    notices.write("two")

    assert stream.tries == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_what_standard_error_could_not_take_does_not_fail_at_the_end() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        notices = NoticeStream(full)
        notices.write("text")
        notices.close()
        full.flush()  # as Python does at its end; a failure would change the exit status


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", r"caf\xe9 \u8a9e \U0001f600"),
        ("cp1252", "caf\xe9 " + r"\u8a9e \U0001f600"),
        ("utf-8", "café 語 😀"),
    ],
)
def test_what_an_encoding_lacks_is_shown_as_an_escape(encoding: str, shown: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")

    NoticeStream(stream).write("café 語 😀")

    assert raw.getvalue().decode(encoding) == shown


def test_terminals_are_known() -> None:
    assert NoticeStream(TerminalStream()).terminal
    assert not NoticeStream(io.StringIO()).terminal
    assert not NoticeStream(None).terminal
    assert not DataStream(io.BytesIO()).terminal
