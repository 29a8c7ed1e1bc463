"""The commands that the README promises, read from it: `python tests/readme.py setup|tests`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def commands() -> dict[str, str]:
    """The two commands of the README's opening: `setup` and `tests`."""
    found = re.findall(
        r"^```sh\n(python3 -m venv .*?)\n```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return dict(zip(("setup", "tests"), found, strict=True))


if __name__ == "__main__":
    print(commands()[sys.argv[1]])
