"""Tables as rich draws them on a terminal; their text is made harmless here.

Imported where something is drawn; rich itself inside the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from asrcli.output.sanitize import for_terminal, one_line
from asrcli.output.width import display_width, last_cells
from asrcli.secret import redact

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["drawn_list", "drawn_table"]


def drawn_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    size: tuple[int, int],
    color: bool,
    title: str = "",
) -> str:
    """A table with a head; `size` is columns and lines of the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=for_terminal(title) or None, title_justify="left", box=box.SIMPLE_HEAD)
    table.show_edge = table.pad_edge = False
    for column in columns:
        table.add_column(Text(for_terminal(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(for_terminal(cell)) for cell in row))
    return _printed(table, size=size, color=color)


def drawn_list(
    rows: Iterable[tuple[str, str]],
    *,
    size: tuple[int, int],
    color: bool,
    style: str,
    unicode: bool = True,
) -> str:
    """Names and what there is to say of each, a line each: cut where the terminal ends."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    cut: Literal["ellipsis", "crop"] = "ellipsis" if unicode else "crop"
    mark, most = "…" if unicode else "", max(8, size[0] // 2 - 4)
    # The end of a name tells more than the folder that it begins with.
    shown = [(last_cells(_shown(name), most, mark=mark), _shown(told)) for name, told in rows]
    head = max((display_width(name) for name, _ in shown), default=0)
    rest = max(1, size[0] - head - 5)
    # The widths are given, or rich would take from both where there is not enough room.
    table.add_column(style=style, no_wrap=True, overflow=cut, width=head)
    table.add_column(no_wrap=True, overflow=cut, width=rest)
    for row in shown:
        table.add_row(*map(Text, row))
    drawn = _printed(table, size=(head + rest + 2, size[1]), color=color)
    return "".join(f"  {line.rstrip()}\n" for line in drawn.splitlines())


def _shown(text: str) -> str:
    return for_terminal(one_line(redact(text)))


def _printed(table: Table, *, size: tuple[int, int], color: bool) -> str:
    from io import StringIO

    from rich.console import Console

    paper = StringIO()
    width, height = size
    console = Console(
        file=paper,
        width=width,
        height=height,
        force_terminal=True,
        color_system="standard" if color else None,
        no_color=not color,
    )
    console.print(table)
    return paper.getvalue()
