"""The way in: `asrcli` and `python -m asrcli`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. `--version` needs none of it, and takes no time."""
    if sys.argv[1:] in (["--version"], ["-V"]) and sys.stdout is not None:
        from asrcli import __version__

        sys.stdout.write(f"asrcli {__version__}\n")
        return
    from asrcli.cli import app

    app.main()


if __name__ == "__main__":
    main()
