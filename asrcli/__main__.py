"""The way in: `asrcli` and `python -m asrcli`."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. `--version` needs none of it, and takes no time."""
    if sys.argv[1:] in (["--version"], ["-V"]) and sys.stdout is not None:
        from asrcli import __version__

        sys.stdout.write(f"asrcli {__version__}\n")
        return
    _fill_closed_streams()
    from asrcli.cli import app

    app.main()


def _fill_closed_streams() -> None:
    """Open nothing in place of a closed stream, or the next file opened would be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
