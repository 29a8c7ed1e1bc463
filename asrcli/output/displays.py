"""How progress is shown: to someone who watches, in a log, or to a program.

On a terminal it is one line that repaints itself and leaves nothing behind; elsewhere a line now
and then, once a run takes its time; or JSON records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asrcli.output.progress import Ended, State
from asrcli.output.sanitize import for_json, for_terminal, one_line
from asrcli.output.terminal import NoticeStream
from asrcli.output.width import display_width, last_cells

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.spinner import Spinner

__all__ = [
    "JSONDisplay",
    "LiveDisplay",
    "NoDisplay",
    "PlainDisplay",
    "clock_time",
    "rich_console",
]

_LATEST = 600
"""Characters of a text that can matter for the end of a line."""
_WIDE = 50
"""Cells from which there is room for more than the figures."""
_NAME = 8
"""Cells below which the end of a name says nothing."""


class NoDisplay:
    """Shows nothing."""

    period = 0.0

    def show(self, state: State) -> None:
        """Nothing."""

    def tick(self, state: State) -> None:
        """The same as after a change."""
        self.show(state)

    def end(self, ended: Ended) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def resume(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class PlainDisplay(NoDisplay):
    """For a log: a line after 30 seconds, then at intervals that grow with the run to 5 minutes."""

    period = 1.0
    _least = 30.0
    _most = 300.0
    _growth = 20
    """Lines are so many times closer than the run is long."""

    def __init__(self, stream: NoticeStream) -> None:
        self._stream = stream
        self._shown = 0.0

    def show(self, state: State) -> None:
        """Write a line if it is time to, but none for what has ended: that has its summary."""
        wait = min(self._most, max(self._least, state.elapsed / self._growth))
        if state.elapsed - self._shown < wait or state.done >= state.total:
            return
        self._shown = state.elapsed
        self._stream.write(f"asrcli: {_in_words(state)}\n")


class JSONDisplay(NoDisplay):
    """For a program: a record when an input ends, and at most one a second for the run."""

    period = 1.0
    _still = 30.0
    """Seconds after which it says that nothing has changed."""

    def __init__(self, stream: NoticeStream) -> None:
        self._stream = stream
        self._last: State | None = None

    def show(self, state: State) -> None:
        """Write a record if it is time to."""
        from asrcli.output.records import progress_record

        if (last := self._last) is not None:
            wait = self.period if _moved(state, last) else self._still
            if state.elapsed - last.elapsed < wait:
                return
        self._last = state
        self._write(progress_record(state))

    def end(self, ended: Ended) -> None:
        """Write the record of an input."""
        from asrcli.output.records import input_record

        self._write(input_record(ended))

    def _write(self, record: Mapping[str, Any]) -> None:
        self._stream.write(f"{for_json(record)}\n")


def _moved(state: State, last: State) -> bool:
    return (
        state.duration_done != last.duration_done
        or state.done != last.done
        or state.duration != last.duration
        or state.bytes_sent != last.bytes_sent
        or state.in_flight != last.in_flight
    )


class LiveDisplay:
    """For a terminal: one line, repainted in place; a spinner for one input, a bar for several.

    rich paints it. It is imported at the first tick, so that a run that is over at once does not
    wait for it.
    """

    period = 0.08

    def __init__(self, stream: NoticeStream, environ: Mapping[str, str], *, color: bool) -> None:
        self._stream = stream
        self._environ = environ
        self._color = color
        self._console: RichConsole | None = None
        self._live: Live | None = None
        self._line = _Line(stream)
        self._paused = False

    def show(self, state: State) -> None:
        """Take note; what changes between two ticks is not seen."""
        self._line.state = state

    def tick(self, state: State) -> None:
        """Repaint."""
        self._line.state = state
        if not self._paused:
            self._paint()

    def end(self, ended: Ended) -> None:
        """Nothing: whoever shows results says it."""

    def pause(self) -> None:
        """Clear the line; the cursor is at its begin."""
        self._paused = True
        self._clear()

    def resume(self) -> None:
        """Paint again from the next tick on."""
        self._paused = False

    def stop(self) -> None:
        """Clear the line for good."""
        self.pause()

    def _paint(self) -> None:
        from rich.live import Live

        if self._console is None:
            self._console = rich_console(self._stream, color=self._color)
        self._console.size = self._stream.size(self._environ)  # it may have been resized
        if self._live is None:
            self._live = Live(
                self._line,
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.refresh()

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def rich_console(stream: NoticeStream, *, color: bool) -> RichConsole:
    """A console of rich that takes text as it is."""
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream,  # type: ignore[arg-type]
        force_terminal=True,
        force_interactive=True,
        color_system="standard" if color else None,
        no_color=not color,
        markup=False,
        emoji=False,
        highlight=False,
    )


class _Line:
    """The line as rich draws it; its text is made harmless and cut to the width here."""

    def __init__(self, stream: NoticeStream) -> None:
        self._stream = stream
        self.state = State(1)
        self._spinner: Spinner | None = None

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        state = self.state
        room = options.max_width - 1  # the last column of some terminals starts a new line
        if state.total > 1:
            bar = max(4, min(30, room // 4 if room >= _WIDE else room // 6))
            yield from _padded(
                console, ProgressBar(1.0, state.share, width=bar), options, cells=bar
            )
        else:
            bar = 1
            yield Text(self._frame(state.elapsed), style="cyan", end="")
        yield Text(self._text(state, room - bar), no_wrap=True, overflow="crop", end="")

    def _frame(self, elapsed: float) -> str:
        from rich.spinner import Spinner

        self._spinner = self._spinner or Spinner("dots" if self._stream.unicode else "line")
        return str(self._spinner.render(elapsed))

    def _text(self, state: State, room: int) -> str:
        """What fits: counts and time first, then what is being worked on and what it says."""
        several = state.total > 1
        name = self._shown(state.name)
        # One input is its name; of several the counts matter more than who is at work.
        head = "" if several else f" {last_cells(name, room // 3, mark='')}"
        head = f"{head}{_fitting(state, room - display_width(head))}"
        mark = "…" if self._stream.unicode else ""
        latest = self._shown(state.latest[-_LATEST:])
        left = room - display_width(head) - 1
        if several and left >= _NAME:
            most = max(_NAME, left * 2 // 3) if latest else left
            head += f" {last_cells(name, most, mark=mark)}"
            left = room - display_width(head) - 1
        if latest and left >= (_NAME if several else 1):
            head += f" {last_cells(latest, left, mark=mark)}"
        return head

    def _shown(self, text: str) -> str:
        return self._stream.showable(for_terminal(one_line(text)))


def _padded(
    console: RichConsole, bar: RenderableType, options: ConsoleOptions, *, cells: int
) -> RenderResult:
    """A bar that takes its width, also where it has no color for what is not done."""
    from rich.segment import Segment

    segments = list(console.render(bar, options))
    yield from segments
    yield Segment(" " * (cells - Segment.get_line_length(segments)))


# --- words ------------------------------------------------------------------------------------


def clock_time(seconds: float) -> str:
    """Seconds as 0:05, 12:30 or 1:02:03."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _fitting(state: State, room: int) -> str:
    """As much of the figures as has room, each after a blank: the important ones first."""
    several = state.total > 1
    figures = [  # in the order in which they stand, with their rank
        (0, f"{state.done}/{state.total}" if several else ""),
        (2, f"{state.failed} failed" if several and state.failed else ""),
        (1, f"{state.share:.0%}" if several and state.duration else ""),
        (5, _of_time(state) if state.duration else ""),
        (3, _time_left(state, about="about " if room >= _WIDE else "~")),
        (4, f"{_ratio(state.rate)}x" if state.rate else ""),
    ]
    kept: set[int] = set()
    for rank, text in sorted(figures):
        cells = len(text) + 1 if text else 0
        if cells and cells <= room:
            kept.add(rank)
            room -= cells
    return "".join(f" {text}" for rank, text in figures if rank in kept)


def _in_words(state: State) -> str:
    """All of it in a sentence for a log."""
    parts = [f"{state.done} of {state.total} inputs"] if state.total > 1 else []
    for count, word in ((state.skipped, "skipped"), (state.failed, "failed")):
        if count:
            parts.append(f"{count} {word}")
    if state.duration:
        about = "about " if state.estimated else ""
        done = clock_time(state.duration_done)
        parts.append(f"{done} of {about}{clock_time(state.duration)} of audio")
    if state.total > 1 or state.duration:
        parts.append(f"{state.share:.0%}")
    if state.rate:
        parts.append(f"{_ratio(state.rate)} x real time")
    parts += filter(None, [_time_left(state)])
    return ", ".join(parts or [f"at work for {clock_time(state.elapsed)}"])


def _of_time(state: State) -> str:
    about = "~" if state.estimated else ""
    return f"{clock_time(state.duration_done)}/{about}{clock_time(state.duration or 0.0)}"


def _time_left(state: State, *, about: str = "about ") -> str:
    if state.seconds_left is None or state.done >= state.total:
        return ""
    return f"{about if state.estimated else ''}{clock_time(state.seconds_left)} left"


def _ratio(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
