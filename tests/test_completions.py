"""The scripts in `completions/` are those of the program, and the shells take them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.program import COMMAND
from tests.rewrite_completions import FILES, FOLDER, generate

SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_script_is_what_the_program_gives(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == generate(FILES[name])


def test_powershell_gets_a_script_that_registers_the_command() -> None:
    script = (FOLDER / "asrcli.ps1").read_text("utf-8")

    assert "Register-ArgumentCompleter -Native -CommandName asrcli" in script


def prepare(shell: str, folder: Path) -> str:
    """The line that makes a shell know the completions, as the README says."""
    if shell == "zsh":
        shutil.copy(FOLDER / "_asrcli", folder / "_asrcli")
        return f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D"
    return f"source {FOLDER / f'asrcli.{shell}'}"


@pytest.mark.skipif(os.name == "nt", reason="these shells are not there")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "expected"),
    [("asrcli tr", "transcribe"), ("asrcli transcribe --insec", "--insecure-http")],
)
def test_the_first_tab_completes_in_a_real_shell(
    shell: str, typed: str, expected: str, tmp_path: Path
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    import pexpect

    environ = {
        **os.environ,
        "PATH": f"{Path(COMMAND[0]).parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "PS1": "> ",
        "HOME": str(tmp_path),
    }
    child = pexpect.spawn(program, SHELLS[shell], env=environ, timeout=30, encoding="utf-8")
    try:
        child.sendline(prepare(shell, tmp_path))
        child.sendline("echo rea''dy")
        child.expect("ready")
        child.send(f"{typed}\t")
        child.expect(expected.removeprefix(typed.rpartition(" ")[2]))
    finally:
        child.close(force=True)
