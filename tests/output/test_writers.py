"""Each format, whole, and what each must never do (X13, X14, P17, S17, S18, T13)."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.errors import UsageError
from asrcli.output.cues import Cue, CueShape, cues
from asrcli.output.writers import FORMATS, format_of, heading, render, srt_blocks, suffix_of
from asrcli.transcript import Segment, Timing, Transcript
from tests.golden import rewrite

quick = settings(deadline=None, database=None, max_examples=60)
SHAPE = CueShape()
TIMED = ("srt", "vtt", "tsv")

hostile = st.lists(
    st.sampled_from(
        [
            "-->", "\n\n", "\n", "\r", "\t", "\u2028", "\x85", "NOTE", "STYLE", "WEBVTT", "7",
            "00:00:01,000 --> 00:00:02,000", "<v X>", "&", "\ud800", "\x1b[2J",
            "\0", "word", " ", "語",
        ]
    ),
    max_size=12,
).map("".join)  # fmt: skip
segments = st.builds(
    lambda text, start, length, speaker: Segment(text, start, start + length, speaker=speaker),
    hostile,
    st.floats(0, 500_000),
    st.floats(0, 30),
    st.none() | hostile,
)


def transcript(*found: Segment) -> Transcript:
    return Transcript(found, "test", "test-model")


def written(kind: str, *found: Segment) -> str:
    return "".join(render(kind, transcript(*found), name="x.wav", shape=SHAPE))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_format_is_as_expected(kind: str) -> None:
    assert rewrite.written(kind) == rewrite.expected(kind).read_bytes().decode()


# --- all formats ------------------------------------------------------------------------------


@quick
@given(st.lists(segments, max_size=4), st.sampled_from(FORMATS))
def test_every_format_can_be_encoded_and_ends_in_one_newline(
    found: list[Segment], kind: str
) -> None:
    data = written(kind, *found).encode("utf-8")

    assert not data or (data.endswith(b"\n") and not data.endswith(b"\n\n"))
    assert b"\r" not in data


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [("text", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("tsv", "start\tend\ttext\n")],
)
def test_an_empty_transcript_is_an_empty_file_where_the_format_allows_it(
    kind: str, nothing: str
) -> None:
    assert written(kind) == nothing
    assert written(kind, Segment(" \n")) == nothing


@pytest.mark.parametrize("kind", TIMED)
@pytest.mark.parametrize("start", [None, float("nan"), float("inf")])
def test_a_format_with_times_is_refused_at_once_for_a_text_without(
    kind: str, start: float | None
) -> None:
    with pytest.raises(UsageError, match=f"{kind} needs times, and test-model gave none"):
        render(kind, transcript(Segment("text", start, 1.0)), name="x", shape=SHAPE)


@pytest.mark.parametrize("kind", FORMATS)
def test_many_segments_come_one_by_one(kind: str) -> None:
    many = transcript(*(Segment(f"Sentence {i}.", i, i + 1) for i in range(1000)))

    assert sum(1 for _ in render(kind, many, name="x", shape=SHAPE)) >= 1000


@pytest.mark.parametrize("kind", ["text", "json", "jsonl"])
def test_a_text_of_one_long_segment_comes_in_pieces(kind: str) -> None:
    long = transcript(Segment("word 語 " * 100_000))

    assert max(map(len, render(kind, long, name="x", shape=SHAPE))) < 100_000


def test_suffixes_and_formats_belong_together() -> None:
    assert [suffix_of(name) for name in FORMATS] == [
        ".txt",
        ".json",
        ".jsonl",
        ".srt",
        ".vtt",
        ".tsv",
    ]
    assert [format_of(suffix_of(name).upper()) for name in FORMATS] == list(FORMATS)
    assert format_of(".docx") is None


def test_headings_are_those_of_head() -> None:
    assert heading("a\n\x1bb", first=True) == "==> a b <==\n"
    assert heading("c", first=False) == "\n==> c <==\n"


# --- text -------------------------------------------------------------------------------------


def test_text_is_one_line_a_file() -> None:
    assert written("text", Segment("One."), Segment("Two\nlines.")) == "One. Two lines.\n"


def test_scripts_without_spaces_are_joined_without() -> None:
    assert written("text", Segment("你好。"), Segment("世界"), Segment("한국"), Segment("말")) == (
        "你好。世界한국 말\n"
    )


def test_segments_of_one_speaker_are_one_line_until_another_speaks() -> None:
    found = [
        Segment("One.", speaker="Alice"),
        Segment(""),
        Segment("Two.", speaker="Alice"),
        Segment("Three.", speaker="1"),
        Segment("Four.", speaker=None),
        Segment("Five.", speaker="Alice"),
    ]

    assert written("text", *found) == "Alice: One. Two.\nSpeaker 1: Three.\nFour.\nAlice: Five.\n"


def test_channels_are_named_where_there_are_several() -> None:
    found = [
        Segment("One.", channel=0),
        Segment("Two.", channel=1, speaker="Bob"),
    ]

    assert written("text", *found) == "Channel 0: One.\nChannel 1, Bob: Two.\n"
    assert written("text", found[0]) == "One.\n"


@quick
@given(st.lists(segments.map(lambda s: Segment(s.text)), max_size=4))
def test_text_is_what_the_transcript_says_is_its_text(found: list[Segment]) -> None:
    clean = [Segment(re.sub("[\x00\x1b\x85]", "", s.text).replace("\ud800", "")) for s in found]

    assert written("text", *clean).rstrip("\n") == transcript(*clean).text


# --- tables and subtitles ---------------------------------------------------------------------


@quick
@given(st.lists(segments, max_size=4))
def test_tsv_has_three_columns_and_a_row_for_each_segment_with_text(found: list[Segment]) -> None:
    header, *rows = written("tsv", *found).split("\n")[:-1]

    assert header == "start\tend\ttext"
    assert all(re.fullmatch(r"\d+\t\d+\t[^\t]+", row) for row in rows)
    assert len(rows) <= len(found)


def srt_cues(text: str) -> list[list[str]]:
    return [block.split("\n") for block in text.removesuffix("\n").split("\n\n")] if text else []


SRT_TIMES = r"\d{2,}:\d\d:\d\d,\d{3} --> \d{2,}:\d\d:\d\d,\d{3}"
VTT_TIMES = r"\d{2,}:\d\d:\d\d\.\d{3} --> \d{2,}:\d\d:\d\d\.\d{3}"


@quick
@given(st.lists(segments, max_size=4))
def test_srt_is_numbered_blocks_whatever_is_said(found: list[Segment]) -> None:
    blocks = srt_cues(written("srt", *found))

    assert len(blocks) == len(list(cues(transcript(*found), SHAPE, name_in_text=True)))
    for number, block in enumerate(blocks, 1):
        assert block[0] == str(number)
        assert re.fullmatch(SRT_TIMES, block[1])
        assert block[2:]
        assert all(line.strip() and "-->" not in line for line in block[2:])


@quick
@given(st.lists(segments, max_size=4))
def test_vtt_is_a_header_and_cues_whatever_is_said(found: list[Segment]) -> None:
    header, *blocks = written("vtt", *found).removesuffix("\n").split("\n\n")

    assert header == "WEBVTT"
    assert len(blocks) == len(list(cues(transcript(*found), SHAPE)))
    for block in blocks:
        times, *lines = block.split("\n")
        assert re.fullmatch(VTT_TIMES, times)
        assert lines
        for line in lines:
            voiceless = re.sub(r"^<v [^<>]+>", "", line)
            assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", voiceless)


def test_hours_go_on_past_ninety_nine() -> None:
    late = Segment("late", 359_999.9995, 3_600_001.25)

    assert "100:00:00,000 --> 100:00:07,000" in written("srt", late)
    assert "100:00:00.000 --> 100:00:07.000" in written("vtt", late)


def test_cues_of_a_stream_are_numbered_on() -> None:
    cue = Cue(0, 1500, ("text",))

    assert list(srt_blocks([cue])) == ["1\n00:00:00,000 --> 00:00:01,500\ntext\n"]
    assert list(srt_blocks([cue], first=7)) == ["\n7\n00:00:00,000 --> 00:00:01,500\ntext\n"]


# --- json -------------------------------------------------------------------------------------


def test_jsonl_is_one_line_and_json_the_same_record_indented() -> None:
    found = Segment("a\u2028b\x85", 0.1 + 0.2, 1.0, Timing.VAD), Segment("c")
    line, indented = written("jsonl", *found), written("json", *found)

    assert len(line.splitlines()) == 1
    assert indented == json.dumps(json.loads(line), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_a_record_without_segments_is_json(kind: str) -> None:
    assert json.loads(written(kind))["segments"] == []


def test_more_fields_of_the_record_come_before_its_segments() -> None:
    extra = {"elapsed": 1.5, "source": {"bytes": 3}, "outputs": ["x.srt"]}

    text = "".join(render("jsonl", transcript(), name="x", shape=SHAPE, extra=extra))

    record = json.loads(text)
    assert (record["elapsed"], record["source"], record["outputs"]) == (
        1.5,
        {"bytes": 3},
        ["x.srt"],
    )
    assert list(record)[-1] == "segments"
