from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from asrcli.core.inputs import Input
from asrcli.core.outputs import Destination, Target, prepare_folders, refuse_inputs
from asrcli.errors import OutputError, UsageError

SUFFIXES = {"text": ".txt", "srt": ".srt", "json": ".json"}


def inputs(*names: str) -> list[Input]:
    return [Input(name, Path(name), output=PurePath(name)) for name in names]


def choose(
    output: str | None, *formats: str, several: bool = False, by_suffix: str | None = None
) -> Destination:
    return Destination.choose(output, formats, several=several, by_suffix=by_suffix)


@pytest.mark.parametrize("output", [None, "-"])
def test_without_an_output_results_are_printed_as_text(output: str | None) -> None:
    chosen = choose(output)

    assert chosen.to_stdout
    assert chosen.formats == ("text",)


def test_a_suffix_chooses_the_format_and_the_flag_beats_it() -> None:
    assert choose("a.srt", by_suffix="srt").formats == ("srt",)
    assert choose("a.srt", "json", by_suffix="srt").formats == ("json",)


def test_a_folder_is_one_that_exists_or_ends_in_a_slash_or_is_needed(tmp_path: Path) -> None:
    assert choose(str(tmp_path)).folder == tmp_path
    assert choose("new/").folder == Path("new")
    assert choose("new", several=True).folder == Path("new")
    assert choose("new", "srt", "text").folder == Path("new")
    assert choose("new").file == Path("new")


def test_a_file_where_a_folder_is_needed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    with pytest.raises(OutputError):
        choose(str(tmp_path / "x"), several=True)


@pytest.mark.parametrize("kind", ["srt", "vtt", "json"])
def test_formats_that_do_not_follow_each_other_need_a_folder(kind: str) -> None:
    with pytest.raises(UsageError, match="folder"):
        choose(None, kind, several=True)


def test_several_formats_need_a_folder() -> None:
    with pytest.raises(UsageError, match=r"srt, text.*folder") as error:
        choose(None, "srt", "text")

    assert "-o DIR" in (error.value.hint or "")


def test_the_tree_is_mirrored() -> None:
    plan = choose("out", "text", "srt", several=True).targets(inputs("a.wav", "d/b.wav"), SUFFIXES)

    assert [[target.path.as_posix() for target in targets] for targets in plan] == [
        ["out/a.txt", "out/a.srt"],
        ["out/d/b.txt", "out/d/b.srt"],
    ]


def test_names_that_would_clash_keep_their_suffix() -> None:
    plan = choose("out", several=True).targets(inputs("x.wav", "x.mp3", "y.wav"), SUFFIXES)

    assert [targets[0].path.name for targets in plan] == ["x.wav.txt", "x.mp3.txt", "y.txt"]


def test_names_that_differ_in_case_alone_are_not_written_over_each_other() -> None:
    with pytest.raises(UsageError, match="both be written"):
        choose("out", several=True).targets(inputs("A.wav", "a.wav"), SUFFIXES)


def test_two_inputs_of_one_name_from_two_places_are_refused() -> None:
    one, two = inputs("x.wav", "x.wav")
    other = Input("elsewhere/x.wav", Path("elsewhere/x.wav"), output=two.output)

    with pytest.raises(UsageError, match="both be written"):
        choose("out", several=True).targets([one, other], SUFFIXES)


def test_a_result_never_takes_the_place_of_a_recording(tmp_path: Path) -> None:
    recording = tmp_path / "x.wav"
    recording.write_bytes(b"sound")
    link = tmp_path / "link.wav"
    link.symlink_to(recording)

    for path in (recording, link):
        with pytest.raises(UsageError, match="itself"):
            refuse_inputs([Target(str(recording), "text")], [Input(str(path), path)])


def test_an_empty_output_is_no_folder() -> None:
    with pytest.raises(UsageError, match="empty"):
        choose("")


def test_folders_are_made(tmp_path: Path) -> None:
    prepare_folders([Target(str(tmp_path / "a" / "b" / "x.txt"), "text")])

    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    with pytest.raises(OutputError, match="folder"):
        prepare_folders([Target(str(tmp_path / "a" / "b" / "x.txt"), "text")])
