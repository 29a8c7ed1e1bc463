from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from asrcli.core.inputs import Filter, Input, expand, materialize, read_reference
from asrcli.errors import EmptyFileError, FileUnreadableError, UsageError


def names(*arguments: str, which: Filter | None = None) -> list[str]:
    return [one.name for one in expand(arguments, which or Filter())]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ["b.wav", "a.mp3", "notes.txt", "deep/c.FLAC", "deep/deeper/d.ogg"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_named_file_is_taken_whatever_its_suffix(folder: Path) -> None:
    assert names("notes.txt") == ["notes.txt"]


def test_a_folder_gives_its_audio_files_by_name(folder: Path) -> None:
    assert names(".") == ["a.mp3", "b.wav"]


def test_a_recursive_folder_gives_those_below_too(folder: Path) -> None:
    found = names(".", which=Filter(recursive=True))

    assert [Path(n).as_posix() for n in found] == [
        "a.mp3", "b.wav", "deep/c.FLAC", "deep/deeper/d.ogg",
    ]  # fmt: skip


def test_patterns_include_and_exclude(folder: Path) -> None:
    both = Filter(recursive=True, include=("*.txt", "deep/*"), exclude=("*.ogg",))

    assert [Path(n).as_posix() for n in names(".", which=both)] == ["notes.txt", "deep/c.FLAC"]


def test_the_tree_below_a_folder_is_kept_for_outputs(folder: Path) -> None:
    found = list(expand(["."], Filter(recursive=True)))

    assert found[-1].output.as_posix() == "deep/deeper/d.ogg"


def test_a_folder_without_audio_is_a_problem_of_its_own(folder: Path) -> None:
    (folder / "none").mkdir()

    found = list(expand(["none", "b.wav"], Filter()))

    assert [one.problem.exit_status if one.problem else 0 for one in found] == [7, 0]


def test_a_pattern_that_the_shell_left_is_expanded_here(folder: Path) -> None:
    assert names("*.wav") == ["b.wav"]


def test_a_pattern_without_files_is_a_problem_of_its_own(folder: Path) -> None:
    (found,) = expand(["*.aiff"], Filter())

    assert isinstance(found.problem, FileUnreadableError)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "[1].wav").write_bytes(b"x")

    assert names("[1].wav") == ["[1].wav"]


def test_the_same_file_twice_is_taken_once(folder: Path) -> None:
    assert names("b.wav", "b.wav", str(folder / "b.wav")) == ["b.wav"]


def test_standard_input_twice_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="once"):
        names("-", "-")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_loop_of_links_ends_and_links_are_followed_only_when_asked(folder: Path) -> None:
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "link.wav").symlink_to(folder / "b.wav")

    plain = names(".", which=Filter(recursive=True))
    followed = names(".", which=Filter(recursive=True, follow=True))

    assert "link.wav" not in plain
    assert "link.wav" in followed
    assert len(followed) == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_a_folder_is_never_opened_but_a_named_one_is_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe.wav")
    reader = os.open(folder / "pipe.wav", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(folder / "pipe.wav", os.O_WRONLY)
    os.write(writer, b"sound")

    assert "pipe.wav" not in names(".")
    (found,) = expand(["pipe.wav"], Filter())
    import threading

    threading.Timer(0.05, os.close, [writer]).start()
    spooled = materialize(found, folder / "deep", None)
    os.close(reader)

    assert spooled.read_bytes() == b"sound"


@pytest.mark.parametrize(
    ("text", "provider"),
    [
        ("onemin:audios/x.wav", "onemin"),
        ("oss://dashscope-instant/x.wav", "qwen"),
        ("https://host/x.wav", None),
    ],
)
def test_references_and_urls_are_told_from_files(text: str, provider: str | None) -> None:
    reference = read_reference(text)

    assert reference is not None
    assert reference.provider == provider
    assert str(reference) == text


def test_a_name_with_a_colon_is_a_file() -> None:
    assert read_reference("a:b.wav") is None


@pytest.mark.parametrize("location", ["https://h/..%2F..%2Fx", "https://h/a/../../etc/passwd?x=/y"])
def test_a_url_never_leads_out_of_the_output_folder(location: str) -> None:
    (found,) = expand([location], Filter())

    assert len(found.output.parts) == 1
    assert ".." not in found.output.parts


def test_standard_input_is_kept_on_disk(tmp_path: Path) -> None:
    path = materialize(Input("-"), tmp_path, io.BytesIO(b"sound"))

    assert path.read_bytes() == b"sound"


def test_empty_and_closed_standard_input_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(EmptyFileError):
        materialize(Input("-"), tmp_path, io.BytesIO())
    with pytest.raises(FileUnreadableError):
        materialize(Input("-"), tmp_path, None)
