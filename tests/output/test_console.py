"""What is printed and said, and to whom (T01-T03, T06, T09, X02, X06, X07)."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.errors import AsrError, EmptyFileError, OutputError, UsageError
from asrcli.output.console import Console
from asrcli.secret import Secret
from tests.output.screens import Screen, TerminalStream

quick = settings(deadline=None, database=None, max_examples=40)
posix = pytest.mark.skipif(os.name == "nt", reason="pipes and devices as POSIX has them")


class TerminalBytes(io.BytesIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def console(
    out: io.BytesIO | None = None, err: io.StringIO | None = None, **options: Any
) -> Console:
    environ = options.pop("environ", {"COLUMNS": "40"})
    return Console(stdout=out, stderr=err, environ=environ, **options)


# --- data -------------------------------------------------------------------------------------


def test_a_pipe_gets_the_text_as_it_is() -> None:
    out = io.BytesIO()

    console(out, color="always").write_data(["語 [red]x[/y] " + "long " * 40, "\n", "\ud800"])

    assert out.getvalue() == ("語 [red]x[/y] " + "long " * 40 + "\n?").encode()


def test_a_terminal_gets_controls_as_escapes_and_lines_as_they_are() -> None:
    out = TerminalBytes()

    console(out, color="always").write_data(["a\x1b[2J\tb\n", "\u202ec " + "long " * 40])

    assert out.getvalue().decode() == r"a\x1b[2J" + "\tb\n" + r"\u202ec " + "long " * 40


def test_standard_output_that_is_closed_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="it is closed"):
        console(None).write_data(["x"])
    with pytest.raises(OutputError, match="it is closed"):
        console(None).table(["a"], [["b"]])


# --- errors and notes -------------------------------------------------------------------------


def test_an_error_is_one_line_with_its_input_and_one_with_its_hint() -> None:
    err = io.StringIO()

    console(err=err).error(UsageError("it\ncannot be", hint="Do\nthat."), name="x.wav")

    assert err.getvalue() == "asrcli: x.wav: it cannot be\n  Do that.\n"


def test_an_error_that_names_its_input_is_not_given_the_name_again() -> None:
    err = io.StringIO()

    console(err=err).error(EmptyFileError("x.wav"), name="x.wav")

    assert err.getvalue() == "asrcli: x.wav is empty\n"


def test_a_name_that_is_part_of_another_word_is_not_taken_for_a_mention() -> None:
    err = io.StringIO()

    console(err=err).problem("qwen3-asr-flash cannot", name="-")
    console(err=err).problem("it cannot", name="can")

    assert err.getvalue() == "asrcli: -: qwen3-asr-flash cannot\nasrcli: can: it cannot\n"


def test_errors_are_said_even_when_quiet() -> None:
    err = io.StringIO()

    console(err=err, quiet=True).error(AsrError("no"))

    assert err.getvalue() == "asrcli: no\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quiet": True}, []),
        ({}, ["warning", "note"]),
        ({"verbose": True}, ["warning", "note", "detail", "done"]),
        ({"debug": True}, ["warning", "note", "detail", "done", "debug"]),
        ({"quiet": True, "verbose": True}, ["warning", "note", "detail", "done"]),
    ],
)
def test_how_much_is_said_is_chosen(options: dict[str, Any], said: list[str]) -> None:
    err = io.StringIO()
    shown = console(err=err, **options)

    shown.warning("warning")
    shown.note("note")
    shown.detail("detail")
    shown.done("done", model="m", duration=1.0, elapsed=1.0)
    shown.debug("debug")

    words = ("warning", "note", "detail", "done", "debug")
    assert [word for word in words if word in err.getvalue()] == said
    assert shown.debugging is options.get("debug", False)


def test_what_became_of_an_input_is_told_to_someone_who_watches() -> None:
    err = TerminalStream()

    shown = console(err=err, color="never")
    shown.done("talk.wav", model="fun-asr", duration=300.0, elapsed=12.34)
    shown.done("oss://x", model="fun-asr", duration=None, elapsed=12.34)

    assert err.getvalue() == (
        "asrcli: talk.wav: fun-asr, 5:00 of audio in 12.3 s, RTF 0.041\n"
        "asrcli: oss://x: fun-asr, 12.3 s\n"
    )


def test_what_became_of_an_input_is_not_told_to_a_log_or_when_quiet() -> None:
    err, terminal = io.StringIO(), TerminalStream()

    console(err=err).done("x", model="m", duration=1.0, elapsed=1.0)
    console(err=terminal, quiet=True).done("x", model="m", duration=1.0, elapsed=1.0)

    assert err.getvalue() == terminal.getvalue() == ""


hostile = st.lists(
    st.sampled_from(
        ["\x1b]0;t\x07", "\x1b[2J", "\x9b2J", "\r", "\n", "\t", "\u202e", "\ud800", "[/x]", "[red]"]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@quick
@given(hostile, hostile, hostile, st.sampled_from(["always", "never"]))
def test_nothing_that_a_service_or_a_name_says_is_obeyed(
    message: str, hint: str, name: str, color: str
) -> None:
    err = TerminalStream()

    console(err=err, color=color).error(UsageError(message, hint=hint), name=name)

    # The screen fails on anything but what is allowed; each line is one line.
    Screen(100_000).feed(err.getvalue())
    assert err.getvalue().count("\n") == 1 + bool(hint)


def test_a_traceback_keeps_its_lines_and_loses_its_controls() -> None:
    err = io.StringIO()

    console(err=err, debug=True).debug("Traceback\n  line\x1b[2J\n")

    assert err.getvalue() == "Traceback\n  line\\x1b[2J\n"


def test_keys_are_blotted_out_wherever_they_would_be_said() -> None:
    key = Secret("sk-canary-0987654321").reveal()
    err = TerminalStream()
    shown = console(err=err, debug=True)

    shown.error(UsageError(key, hint=key), name=key)
    shown.warning(key)
    shown.note(key)
    shown.detail(key)
    shown.debug(key)
    shown.done(key, model=key, duration=1.0, elapsed=1.0)

    assert "canary" not in err.getvalue()
    assert err.getvalue().count("***") >= 8


@pytest.mark.parametrize(
    ("environ", "color", "colored"),
    [
        ({}, "auto", True),
        ({"NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({"TERM": "dumb"}, "auto", False),
        ({}, "never", False),
    ],
)
def test_an_error_is_colored_where_that_is_wanted(
    environ: dict[str, str], color: str, colored: bool
) -> None:
    err = TerminalStream()

    console(err=err, environ=environ, color=color).error(AsrError("no"))

    assert ("\x1b[" in err.getvalue()) is colored
    assert Screen().feed(err.getvalue()).lines == ["asrcli: no"]


def test_a_colored_line_is_not_wrapped_by_us() -> None:
    err = TerminalStream()

    console(err=err, color="always").note("note")
    console(err=err, color="always").warning("word " * 50)

    assert err.getvalue().count("\n") == 2


# --- tables -----------------------------------------------------------------------------------

ROWS = [["qwen3-asr-flash", "short [b]files[/x]"], ["x\x1b[2J\ty", "語\nz"]]


def test_a_table_on_a_pipe_is_tsv_without_wrapping_or_color() -> None:
    out = io.BytesIO()

    console(out, color="always").table(["MODEL", "WHAT"], [*ROWS, ["m", "w " * 100]], title="T")

    assert out.getvalue().decode().splitlines() == [
        "MODEL\tWHAT",
        "qwen3-asr-flash\tshort [b]files[/x]",
        "x[2J y\t語 z",
        "m\t" + " ".join("w" * 100),
    ]


@pytest.mark.parametrize("columns", ["1", "10", "20", "0", "80"])
def test_a_table_on_a_terminal_is_drawn_within_its_width(columns: str) -> None:
    out = TerminalBytes()

    console(out, environ={"COLUMNS": columns}, color="always").table(["MODEL", "WHAT"], ROWS)

    screen = Screen(int(columns) or 80)
    shown = screen.feed(out.getvalue().decode()).lines
    letters = "".join("".join(shown).split())
    assert columns not in {"0", "80"} or "short[b]files[/x]" in letters
    assert "\x1b[2J" not in out.getvalue().decode()


def test_a_table_on_a_terminal_is_plain_without_color() -> None:
    out = TerminalBytes()

    console(out, color="never").table(["A", "B"], [["1", "2"]], title="Title")

    assert "\x1b" not in out.getvalue().decode()
    assert out.getvalue().decode().startswith("Title")


# --- whole processes --------------------------------------------------------------------------

PROGRAM = """
import os, sys
from asrcli.errors import AsrError
from asrcli.output.console import Console

console = Console(
    stdout=sys.stdout.buffer if sys.stdout else None, stderr=sys.stderr, environ=os.environ
)
status = 0
try:
    console.write_data(["\\u8a9e caf\\u00e9\\n"] * int(sys.argv[1]))
except BrokenPipeError:
    status = 141
except AsrError as error:
    console.error(error)
    status = error.exit_status
console.note("\\u8a9e done")
console.close()
sys.exit(status)
"""


def run(
    redirections: str, lines: int = 1, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program under a shell that arranges its streams."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {lines} {redirections}', sys.executable, PROGRAM],
        capture_output=True,
        check=False,
        env={**os.environ, **(environ or {})},
    )


@posix
@pytest.mark.parametrize(
    "environ", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}]
)
def test_data_is_utf8_whatever_the_locale_says(environ: dict[str, str]) -> None:
    done = run("", environ={"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **environ})

    assert done.stdout == "語 café\n".encode()
    assert done.stderr == rb"asrcli: \u8a9e done" + b"\n"
    assert done.returncode == 0


@posix
def test_closed_standard_output_is_exit_8_and_said() -> None:
    done = run(">&-")

    assert done.returncode == 8
    assert done.stderr.startswith(b"asrcli: cannot write output: it is closed\n")


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_full_standard_output_is_exit_8_and_said_in_one_line(lines: int) -> None:
    done = run(">/dev/full", lines)

    assert done.returncode == 8
    assert done.stderr.decode().splitlines() == [
        "asrcli: cannot write output: no space left on device",
        "asrcli: 語 done",
    ]


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_standard_error_that_is_closed_or_full_changes_nothing_else(where: str) -> None:
    done = run(where)

    assert done.returncode == 0
    assert done.stdout == "語 café\n".encode()


@posix
def test_a_reader_that_leaves_is_not_complained_about() -> None:
    done = run('; echo "status $?" >&2', lines=0)
    assert done.stderr.decode().splitlines()[-1] == "status 0"

    left = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '{ "$0" -c "$1" 200000; echo "status $?" >&2; } | head -n 1',
            sys.executable,
            PROGRAM,
        ],
        capture_output=True,
        check=False,
    )

    assert left.stdout == "語 café\n".encode()
    assert left.stderr.decode().splitlines() == ["asrcli: 語 done", "status 141"]
