from __future__ import annotations

import re
from pathlib import Path

from asrcli import __version__

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def test_the_newest_heading_is_the_version_of_the_package() -> None:
    newest = re.search(r"^## (\S+)", CHANGELOG.read_text("utf-8"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == __version__
