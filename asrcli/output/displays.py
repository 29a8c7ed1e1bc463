"""How progress is shown: to someone who watches, in a log, or to a program.

On a terminal it is one line that repaints itself and leaves nothing behind; elsewhere a line now
and then, for several inputs only; or JSON records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from asrcli.output.progress import State
from asrcli.output.records import progress_record
from asrcli.output.sanitize import for_json, for_terminal, one_line
from asrcli.output.terminal import NoticeStream
from asrcli.output.width import display_width, last_cells

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.spinner import Spinner

__all__ = ["JSONDisplay", "LiveDisplay", "NoDisplay", "PlainDisplay", "clock_time", "rich_console"]

_LATEST = 600
"""Characters of a text that can matter for the end of a line."""


class NoDisplay:
    """Shows nothing."""

    period = 0.0

    def show(self, state: State) -> None:
        """Nothing."""

    def tick(self, state: State) -> None:
        """The same as after a change."""
        self.show(state)

    def pause(self) -> None:
        """Nothing."""

    def resume(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class PlainDisplay(NoDisplay):
    """For a log: a line every 30 seconds or 5 %."""

    period = 1.0
    _seconds = 30.0
    _steps = 20

    def __init__(self, stream: NoticeStream) -> None:
        self._stream = stream
        self._step = 0
        self._shown = 0.0

    def show(self, state: State) -> None:
        """Write a line if it is time to."""
        step = int(state.share * self._steps)
        if step == self._step and state.elapsed - self._shown < self._seconds:
            return
        self._step, self._shown = step, state.elapsed
        self._stream.write(f"asrcli: {_counts(state, words=True)}, {state.share:.0%}\n")


class JSONDisplay(NoDisplay):
    """For a program: a record when an input ends, else at most one a second."""

    period = 1.0
    _still = 30.0
    """Seconds after which it says that nothing has changed."""

    def __init__(self, stream: NoticeStream) -> None:
        self._stream = stream
        self._last = State(0)

    def show(self, state: State) -> None:
        """Write a record if it is time to."""
        last = self._last
        wait = self.period if state.duration_done != last.duration_done else self._still
        if state.done == last.done and state.elapsed - last.elapsed < wait:
            return
        self._last = state
        record = progress_record(
            total=state.total,
            done=state.done,
            failed=state.failed,
            duration=state.duration,
            duration_done=state.duration_done,
            elapsed=state.elapsed,
        )
        self._stream.write(f"{for_json(record)}\n")


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
            bar = max(4, min(30, room // 4))
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
        head = f" {_counts(state)}" if state.total > 1 else f" {self._name(state, room // 3)}"
        head = last_cells(head, room, mark="")
        room -= display_width(head) + 1
        latest = self._shown(state.latest[-_LATEST:])
        mark = "…" if self._stream.unicode else ""
        return f"{head} {last_cells(latest, room, mark=mark)}" if latest and room > 0 else head

    def _name(self, state: State, cells: int) -> str:
        name = last_cells(self._shown(state.name), cells, mark="")
        return f"{name} {_of_time(state)}" if state.duration else name

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


def _of_time(state: State) -> str:
    return f"{clock_time(state.duration_done)}/{clock_time(state.duration or 0.0)}"


def _counts(state: State, *, words: bool = False) -> str:
    parts = [f"{state.done} of {state.total} inputs" if words else f"{state.done}/{state.total}"]
    if state.failed:
        parts.append(f"{state.failed} failed")
    if state.duration:
        parts.append(_of_time(state) + (" of audio" if words else ""))
    return (", " if words else " ").join(parts)
