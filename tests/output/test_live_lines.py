"""Live text on a screen: a line that is repainted, a status line, finals that scroll."""

from __future__ import annotations

import io
import threading

import pytest

from asrcli.output.console import Console
from asrcli.output.live_lines import LiveLines, plain_line, screen_line
from asrcli.output.terminal import NoticeStream
from asrcli.transcript import Segment
from tests.output.screens import Screen, TerminalStream


def painted(stream: TerminalStream, columns: int = 40) -> list[str]:
    return Screen(columns).feed(stream.getvalue()).lines


def opened(stream: TerminalStream, *, status: bool = True) -> LiveLines:
    return LiveLines(NoticeStream(stream), {"COLUMNS": "40"}, status=status, clock=lambda: 0.0)


def test_a_partial_replaces_the_one_before() -> None:
    stream = TerminalStream()
    with opened(stream) as lines:
        lines.partial("good")
        lines.partial("good morning")
        shown = painted(stream)

    assert shown == ["good morning"]


@pytest.mark.parametrize("columns", [8, 21, 40])
@pytest.mark.parametrize(
    "word",
    ["早上好", "e\u0301te\u0301 ", "👩‍👩‍👧 ", "नमस्ते "],
    ids=["wide", "accents", "joined", "signs"],
)
def test_t10_of_a_long_partial_the_end_is_shown_in_one_line(word: str, columns: int) -> None:
    stream = TerminalStream()
    lines = LiveLines(NoticeStream(stream), {"COLUMNS": str(columns)}, clock=lambda: 0.0)
    with lines:
        lines.status("listening", lag=0.0, service="q")
        for count in (1, 5, 60, 61):
            lines.partial(word * count + "ok")
        shown = painted(stream, columns)
        with lines.above(final=True):
            lines.write("Good morning.\n")
        after = painted(stream, columns)

    assert len(shown) == 2
    assert shown[0].startswith("…")
    assert shown[0].endswith("ok")
    assert "".join(after[:-1]) == "Good morning."
    assert Screen(columns).feed(stream.getvalue()).lines == after[:-1]


def test_the_status_line_has_level_service_and_lag() -> None:
    stream = TerminalStream()
    with opened(stream) as lines:
        lines.level(-30.0, 75.0)
        lines.status("listening", lag=2.0, service="qwen")
        lines.partial("good morning")
        shown = painted(stream, 60)

    assert shown[0] == "good morning"
    assert shown[1].startswith("01:15 [█████░░░░░] qwen: listening, 2")


def test_a_final_takes_the_place_of_its_partial() -> None:
    stream = TerminalStream()
    with opened(stream) as lines:
        lines.status("listening", lag=0.0, service="qwen")
        lines.partial("good")
        with lines.above(final=True):
            lines.write("Good morning.\n")
        shown = painted(stream)

    assert shown == ["Good morning.", "00:00 [░░░░░░░░░░] qwen: listening"]


def test_t10_nothing_is_left_at_the_end() -> None:
    stream = TerminalStream()
    with opened(stream) as lines:
        lines.status("listening", lag=0.0, service="qwen")
        lines.partial("good")
    screen = Screen(40).feed(stream.getvalue())

    assert screen.lines == []
    assert screen.cursor_shown


def console_on(stream: TerminalStream) -> Console:
    return Console(stdout=io.BytesIO(), stderr=stream, environ={"COLUMNS": "40"})


def test_t10_what_a_console_says_stands_above_the_lines() -> None:
    stream = TerminalStream()
    console = console_on(stream)
    lines = console.live_lines(NoticeStream(stream), status=True)
    with console.showing(lines):
        lines.status("listening", lag=0.0, service="qwen")
        lines.partial("good")
        console.note("half of it is lost")
        lines.partial("good morning")
        shown = painted(stream)
    console.note("that was all")

    assert shown == [
        "asrcli: half of it is lost",
        "good morning",
        "00:00 [░░░░░░░░░░] qwen: listening",
    ]
    assert painted(stream) == ["asrcli: half of it is lost", "asrcli: that was all"]


def test_t10_threads_that_speak_at_once_leave_no_debris() -> None:
    stream = TerminalStream()
    console = console_on(stream)
    lines = console.live_lines(NoticeStream(stream), status=True)
    together = threading.Barrier(3)

    def speak(name: str) -> None:
        together.wait()
        for number in range(100):
            console.warning(f"{name} {number}")

    threads = [threading.Thread(target=speak, args=(name,)) for name in ("a", "b")]
    with console.showing(lines):
        lines.status("listening", lag=0.0, service="qwen")
        for thread in threads:
            thread.start()
        together.wait()
        for number in range(100):
            lines.partial(f"heard {number}")
            with lines.above(final=True):
                console.note(f"final {number}")
        for thread in threads:
            thread.join()

    shown = painted(stream)
    said = [f"{name} {number}" for name in ("a", "b") for number in range(100)]
    expected = [f"asrcli: warning: {text}" for text in said]
    expected += [f"asrcli: final {number}" for number in range(100)]
    assert sorted(shown) == sorted(expected)


def test_without_a_status_line_there_is_only_text() -> None:
    stream = TerminalStream()
    with opened(stream, status=False) as lines:
        lines.level(-3.0, 1.0)
        lines.status("listening", lag=0.0, service="qwen")
        lines.partial("good")
        shown = painted(stream)

    assert shown == ["good"]


def test_what_a_service_says_cannot_move_the_cursor() -> None:
    stream = TerminalStream()
    with opened(stream) as lines:
        lines.partial("\x1b[2Jgood\nmorning")
        shown = painted(stream)

    assert shown == ["\\x1b[2Jgood morning"]


def test_where_nobody_watches_nothing_is_painted() -> None:
    stream = TerminalStream()
    lines = LiveLines(NoticeStream(stream), {"TERM": "dumb"})
    with lines:
        lines.partial("good")

    assert stream.getvalue() == ""


def test_a_final_is_shown_with_time_speaker_and_emotion() -> None:
    segment = Segment("Hello.", start=75.2, end=76.0, speaker="1", emotion="happy")

    assert screen_line(segment) == "[01:15] Speaker 1 (happy): Hello."
    assert screen_line(Segment("Hello.", start=3675.0, end=3676.0)) == "[1:01:15] Hello."
    assert screen_line(Segment("Hello.")) == "Hello."


def test_on_a_pipe_a_final_is_one_line_with_its_speaker() -> None:
    assert plain_line(Segment("Hello\nthere.", speaker="Ann")) == "Ann: Hello there."
