"""Progress on a terminal, in a log and for a program (T05, T07, T08, T10)."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.errors import UsageError
from asrcli.output.console import Console
from asrcli.output.displays import clock_time
from asrcli.output.records import schema, summary_record
from asrcli.output.width import display_width
from tests.output.screens import Clock, Screen, TerminalStream

quick = settings(deadline=None, database=None, max_examples=40)


@dataclass
class Desk:
    """A console with its streams and its clock."""

    err: io.StringIO
    columns: int = 60
    environ: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def console(self) -> Console:
        return Console(
            stdout=io.BytesIO(),
            stderr=self.err,
            environ={"COLUMNS": str(self.columns), "TERM": "xterm", **self.environ},
            clock=self.clock,
            ticker=self.clock.ticker,
            **self.options,
        )

    def screen(self) -> Screen:
        return Screen(self.columns).feed(self.err.getvalue())


def terminal(columns: int = 60, **options: Any) -> Desk:
    return Desk(TerminalStream(), columns, options={"color": "never", **options})


def log(**options: Any) -> Desk:
    return Desk(io.StringIO(), options=options)


# --- on a terminal ----------------------------------------------------------------------------


def test_one_input_has_a_spinner_its_time_and_its_latest_text() -> None:
    desk = terminal()
    with desk.console().progress(1, duration=300.0) as progress:
        item = progress.begin("talk.wav", duration=300.0)
        item.advance(12.0)
        item.partial("and so it begins")
        desk.clock.tick(0.1)

        assert desk.screen().lines == ["⠋ talk.wav 0:12/5:00 and so it begins"]


def test_the_spinner_turns() -> None:
    desk = terminal()
    with desk.console().progress(1) as progress:
        progress.begin("x")
        frames = set()
        for _ in range(10):
            desk.clock.tick(0.08)
            frames.add(desk.screen().lines[0][0])

        assert len(frames) > 5


def test_several_inputs_have_a_bar_and_are_counted() -> None:
    desk = terminal(columns=64)
    with desk.console().progress(4) as progress:
        progress.begin("a", duration=100.0).end()
        progress.begin("b", duration=100.0).end(failed=True)
        progress.begin("c", duration=100.0).partial("text of c")
        desk.clock.tick()

        [line] = desk.screen().lines
        assert line == f"{'━━━━━━━╸':15} 2/4 1 failed 50% 3:20/~6:40 c text of c"


def test_without_durations_the_bar_counts_inputs() -> None:
    desk = terminal()
    with desk.console().progress(2) as progress:
        progress.begin("a").end()
        desk.clock.tick()

        assert desk.screen().lines[0].split() == ["━━━━━━━", "1/2", "a"]


def test_the_line_is_repainted_in_place_and_gone_at_the_end() -> None:
    desk = terminal()
    with desk.console().progress(1) as progress:
        item = progress.begin("talk.wav")
        for text in ("a long text that is shown first", "short", "語音識別 is wide", "e\u0301a"):
            item.partial(text)
            desk.clock.tick(0.1)
            assert len(desk.screen().lines) == 1
            assert desk.screen().lines[0].endswith(text)

    assert desk.screen().lines == []
    assert desk.screen().cursor_shown
    assert not desk.clock.running


def test_the_line_is_gone_after_a_failure_too() -> None:
    desk = terminal()

    def work() -> None:
        with desk.console().progress(1) as progress:
            progress.begin("x")
            desk.clock.tick()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert desk.screen().lines == []
    assert desk.screen().cursor_shown


def test_what_is_over_before_the_first_tick_paints_nothing() -> None:
    desk = terminal()
    with desk.console().progress(1) as progress:
        progress.begin("x").end()

    assert desk.err.getvalue() == ""


@pytest.mark.parametrize("text", ["x" * 500, "語" * 500, "é e\u0301 " * 200, "👩\u200d💻" * 90])
@pytest.mark.parametrize("columns", [1, 5, 20, 61, 200])
@pytest.mark.parametrize("total", [1, 1000])
def test_a_text_longer_than_the_terminal_leaves_no_debris(
    text: str, columns: int, total: int
) -> None:
    desk = terminal(columns)
    with desk.console().progress(total, duration=36_000.0) as progress:
        item = progress.begin("a name that is rather long.wav", duration=36_000.0)
        for share in (1.0, 0.5, 1.0):
            item.partial(text[: int(len(text) * share)])
            desk.clock.tick(0.1)
            assert len(desk.screen().lines) <= 1

    assert desk.screen().lines == []


def test_a_width_of_zero_is_taken_for_eighty() -> None:
    desk = terminal(columns=0)
    with desk.console().progress(1) as progress:
        progress.begin("x").partial("y" * 100)
        desk.clock.tick()

    [line] = Screen(80).feed(desk.err.getvalue().split("\n")[0]).lines
    assert display_width(line) == 79


def test_a_terminal_that_is_resized_gets_a_line_of_its_new_width() -> None:
    desk = terminal(columns=70)
    console_environ = {"COLUMNS": "70", "TERM": "xterm"}
    console = Console(
        stdout=None,
        stderr=desk.err,
        environ=console_environ,
        clock=desk.clock,
        ticker=desk.clock.ticker,
    )
    with console.progress(1) as progress:
        progress.begin("x").partial("y" * 100)
        desk.clock.tick()
        console_environ["COLUMNS"] = "30"
        desk.clock.tick()

        [line] = desk.screen().lines
        assert display_width(line) == 29


hostile = st.lists(
    st.sampled_from(
        ["\x1b]0;t\x07", "\x1b[2J", "\x9b2J", "\r", "\n", "\u202e", "\ud800", "[/x]", "語"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@quick
@given(hostile, hostile, st.integers(5, 90), st.integers(1, 2))
def test_nothing_that_is_heard_or_named_moves_the_cursor(
    name: str, text: str, columns: int, total: int
) -> None:
    desk = terminal(columns)
    with desk.console().progress(total) as progress:
        progress.begin(name).partial(text)
        desk.clock.tick()

        assert len(desk.screen().lines) <= 1

    assert desk.screen().lines == []


def test_data_and_notes_come_above_the_line() -> None:
    desk = terminal()
    err = desk.err

    class Out(io.BytesIO):
        """Standard output on the same terminal."""

        def isatty(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            err.write(bytes(data).decode())
            return len(data)

    console = Console(
        stdout=Out(),
        stderr=err,
        environ={"COLUMNS": "60"},
        color="never",
        clock=desk.clock,
        ticker=desk.clock.ticker,
    )
    with console.progress(2) as progress:
        progress.begin("a").partial("text of a")
        desk.clock.tick()
        console.write_data(["first line\n", "second line\n"])
        console.note("a note")
        desk.clock.tick()

        *above, line = desk.screen().lines
        assert above == ["first line", "second line", "asrcli: a note"]
        assert line.endswith("0/2 a text of a")

        console.write_data(["a line without its end"])
        desk.clock.tick()  # must not wipe it out
        console.write_data([", and its end\n"])
        desk.clock.tick()
        assert desk.screen().lines[3] == "a line without its end, and its end"

    assert len(desk.screen().lines) == 4


def test_an_encoding_without_dots_gets_letters() -> None:
    desk = terminal()

    class Ascii(TerminalStream):
        encoding = "ascii"

    desk.err = Ascii()
    with desk.console().progress(1) as progress:
        progress.begin("x").partial("語")
        desk.clock.tick()
    with desk.console().progress(2) as progress:
        progress.begin("x").partial("y" * 100)
        desk.clock.tick()

    assert desk.err.getvalue().isascii()
    assert r"x \u8a9e" in desk.err.getvalue()


def test_colors_are_left_out_where_they_are_not_wanted() -> None:
    plain, colored = terminal(), terminal(color="always")
    for desk in (plain, colored):
        with desk.console().progress(2) as progress:
            progress.begin("x").end()
            desk.clock.tick()

    assert "\x1b[3" not in plain.err.getvalue()
    assert "\x1b[3" in colored.err.getvalue() or "\x1b[9" in colored.err.getvalue()


@pytest.mark.parametrize("how", [{"progress": "none"}, {"quiet": True}])
def test_nothing_is_shown_where_nothing_is_wanted(how: dict[str, Any]) -> None:
    for desk in (terminal(**how), log(**how)):
        with desk.console().progress(10) as progress:
            for name in "abcdefghij":
                progress.begin(name).end()

        assert desk.err.getvalue() == ""


# --- in a log ---------------------------------------------------------------------------------


def test_a_log_gets_a_line_every_thirty_seconds_however_much_happens() -> None:
    desk = log()
    with desk.console().progress(1000, duration=36_000.0) as progress:
        progress.begin("x", duration=36.0).end(failed=True)
        progress.begin("y").end(skipped=True)
        for number in range(75):
            desk.clock.now += 0.5
            progress.begin(str(number), duration=36.0).end()
            desk.clock.tick(0.5)

    first, second = desk.err.getvalue().splitlines()
    assert first == (
        "asrcli: 32 of 1000 inputs, 1 skipped, 1 failed, 18:36 of 10:00:00 of audio, 3%, "
        "37 x real time, 15:53 left"
    )
    assert second.startswith("asrcli: 62 of 1000 inputs,")


def test_a_log_of_a_long_run_gets_fewer_lines() -> None:
    desk = log()
    with desk.console().progress(2, duration=36_000.0) as progress:
        progress.begin("a")
        for _ in range(36_000 // 10):
            desk.clock.tick(10.0)

    lines = desk.err.getvalue().splitlines()
    assert 120 < len(lines) < 180
    assert lines[-1] == "asrcli: 0 of 2 inputs, 0:00 of 10:00:00 of audio, 0%"


def test_a_log_gets_nothing_of_a_run_that_is_short() -> None:
    desk = log()
    with desk.console().progress(100) as progress:
        for number in range(100):
            desk.clock.tick(0.29)
            progress.begin(str(number), duration=9.0).end()

    assert desk.err.getvalue() == ""


def test_a_log_hears_of_a_single_input_that_takes_its_time() -> None:
    desk = log()
    with desk.console().progress(1) as progress:
        item = progress.begin("a")
        desk.clock.tick(30.0)
        item.expect(3600.0)
        item.advance(90.0)
        desk.clock.tick(30.0)
        desk.clock.tick(29.0)
        item.end()

    assert desk.err.getvalue().splitlines() == [
        "asrcli: at work for 0:30",
        "asrcli: 1:30 of 1:00:00 of audio, 2%",
    ]


def test_a_dumb_terminal_gets_what_a_log_gets() -> None:
    desk = terminal()
    desk.environ["TERM"] = "dumb"
    with desk.console().progress(2) as progress:
        progress.begin("a").end()
        desk.clock.tick(30.0)

    assert desk.err.getvalue() == "asrcli: 1 of 2 inputs, 50%\n"


# --- for a program ----------------------------------------------------------------------------


def records(desk: Desk) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in desk.err.getvalue().splitlines()]
    for record in found:
        jsonschema.Draft202012Validator(schema()).validate(record)
    return found


@pytest.mark.parametrize("desk", [log(progress="json"), terminal(progress="json", quiet=True)])
def test_a_program_gets_a_record_when_an_input_ends_and_a_summary_last(desk: Desk) -> None:
    console = desk.console()
    with console.progress(2, duration=20.0) as progress:
        progress.begin("a", duration=10.0).end()
        progress.begin("b", duration=10.0).end(failed=True)
    console.summary(summary_record(["ok", "failed"], total=2, exit_status=3, elapsed=0.5))

    found = records(desk)
    assert [r["type"] for r in found] == ["progress", "input", "input", "summary"]
    assert [(r["name"], r["status"], r["seconds"]) for r in found[1:3]] == [
        ("a", "ok", 10.0),
        ("b", "failed", 10.0),
    ]


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ({}, "ok", None),
        ({"skipped": True}, "skipped", None),
        ({"submitted": True}, "submitted", None),
        ({"partial": True, "error": "a piece was lost"}, "partial", "a piece was lost"),
        ({"failed": True, "error": UsageError("no")}, "failed", "no"),
        ({"failed": True, "cancelled": True, "error": "stopped"}, "cancelled", "stopped"),
    ],
)
def test_a_program_learns_what_became_of_each_input(
    how: dict[str, Any], status: str, error: str | None
) -> None:
    desk = log(progress="json")
    with desk.console().progress(1) as progress:
        item = progress.begin("https://host/a.wav?Signature=abcdef")
        desk.clock.now += 2.5
        item.end(**how)

    found = next(record for record in records(desk) if record["type"] == "input")
    assert (found["name"], found["status"]) == ("https://host/a.wav?Signature=***", status)
    assert (found["seconds"], found["elapsed"]) == (None, 2.5)
    assert (found["error"] and found["error"]["message"]) == error


def test_an_error_that_is_known_as_one_is_told_in_full() -> None:
    desk = log(progress="json")
    with desk.console().progress(1) as progress:
        progress.begin("a").end(failed=True, error=UsageError("no", hint="Do that."))

    assert records(desk)[1]["error"]["class"] == "usage"


def test_a_program_gets_no_more_than_a_record_a_second_for_what_moves() -> None:
    desk = log(progress="json")
    with desk.console().progress(1, duration=100.0) as progress:
        item = progress.begin("a", duration=100.0)
        for _ in range(50):
            desk.clock.now += 0.1
            item.advance(1.0)

    assert len(records(desk)) in {5, 6}


def test_a_program_hears_that_nothing_moves() -> None:
    desk = log(progress="json")
    with desk.console().progress(1) as progress:
        progress.begin("a")
        for _ in range(95):
            desk.clock.tick(1.0)

    assert [record["elapsed"] for record in records(desk)] == [0.0, 30.0, 60.0, 90.0]


def test_a_program_is_not_told_what_was_said() -> None:
    desk = log(progress="json")
    with desk.console().progress(1) as progress:
        item = progress.begin("a")
        item.partial("a secret")
        item.end()

    assert "secret" not in desk.err.getvalue()


def test_without_json_there_is_no_summary() -> None:
    desk = log()
    desk.console().summary(summary_record([], total=0, exit_status=0, elapsed=0.0))

    assert desk.err.getvalue() == ""


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0:00"), (5.4, "0:05"), (59.6, "1:00"), (750.0, "12:30"), (3723.0, "1:02:03")],
)
def test_times_read_as_on_a_clock(seconds: float, shown: str) -> None:
    assert clock_time(seconds) == shown


def test_audio_counts_once_however_it_was_reported() -> None:
    desk = log(progress="json")
    with desk.console().progress(1, duration=10.0) as progress:
        item = progress.begin("a", duration=10.0)
        item.advance(4.0)
        item.advance(8.0)
        item.end()
        desk.clock.tick(1.0)

    assert records(desk)[-1]["duration_done"] == 12.0
