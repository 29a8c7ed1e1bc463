"""The way in: `asrcli` and `python -m asrcli`."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run the command line. `--version` needs none of it, and takes no time."""
    _end_at_signals()
    _fill_closed_streams()
    if sys.argv[1:] in (["--version"], ["-V"]) and sys.stdout is not None:
        _show_version()
    from asrcli.cli import app

    app.main()


def _show_version() -> NoReturn:
    from asrcli import __version__

    status = 0
    try:
        os.write(1, f"asrcli {__version__}\n".encode())
    except BrokenPipeError:
        status = 128 + 13
    except OSError as error:
        sys.stderr.write(f"asrcli: cannot write output: {error.strerror}\n")
        status = 8
    sys.exit(status)


def _end_at_signals() -> None:
    """Until the command line is there to clean up, there is nothing to clean up."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def _fill_closed_streams() -> None:
    """Open nothing in place of a closed stream, or the next file opened would be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    main()
