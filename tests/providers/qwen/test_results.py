"""The files that jobs of Qwen Cloud leave behind."""

from __future__ import annotations

import pytest

from asrcli.errors import UnexpectedAnswerError
from asrcli.providers.base import Options
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.results import read_result
from asrcli.transcript import Timing, Transcript, Word
from tests.providers.calling import answer_from, cases

QWEN = resolve("qwen3-asr-flash-filetrans")
FUN = resolve("fun-asr")
PLAIN = Options()
READABLE = {
    "result-qwen",
    "result-fun",
    "result-fun-table-names",
    "result-two-channels",
    "result-odd",
}
UNREADABLE = {"result-no-transcripts", "result-list"}


def read(name: str, options: Options = PLAIN) -> Transcript:
    model = QWEN if name == "result-qwen" else FUN
    return read_result(answer_from("dashscope", name).json, model, options)


def test_every_recorded_result_is_read() -> None:
    assert set(cases("dashscope", "result*")) == READABLE | UNREADABLE


def test_the_result_of_qwen3_has_language_emotion_and_words_of_each_sentence() -> None:
    transcript = read("result-qwen")

    first, second = transcript.segments
    assert (first.text, first.start, first.end) == ("Good morning, all.", 0.24, 6.72)
    assert (first.language, first.emotion, first.timing) == ("en", "neutral", Timing.MODEL)
    assert (second.language, second.emotion) == ("de", "happy")
    assert first.words[1] == Word("morning,", 0.56, 0.92)
    assert [word.text for word in second.words] == ["Guten", "Tag."]
    assert (first.speaker, first.channel) == (None, None)
    assert transcript.language == "en"
    assert transcript.model == "qwen3-asr-flash-filetrans"


def test_the_result_of_fun_asr_has_speakers_and_words_without_their_blanks() -> None:
    transcript = read("result-fun", Options(language="en"))

    first, second = transcript.segments
    assert (first.text, first.speaker, second.speaker) == ("First.", "0", "1")
    assert [word.text for word in second.words] == ["Second", "item,", "done."]
    assert first.language == transcript.language == "en"
    assert transcript.duration == 12.48


def test_the_names_that_the_table_of_the_page_has_are_read_too() -> None:
    transcript = read("result-fun-table-names")

    assert transcript.text == "First. Second."
    assert transcript.duration == 12.48
    assert not transcript.timed


def test_channels_are_named_and_woven_in_the_order_of_time() -> None:
    transcript = read("result-two-channels", Options(channels=(0, 1)))

    told = [(segment.text, segment.channel) for segment in transcript.segments]
    assert told == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
    assert transcript.warnings == ()


def test_a_channel_that_is_missing_is_told() -> None:
    transcript = read("result-fun", Options(channels=(0, 1)))

    assert transcript.warnings == ("the service left out channel 1 of the recording",)
    assert transcript.segments[0].channel == 0


def test_whatever_is_odd_in_a_result_is_passed_over_and_the_rest_is_kept() -> None:
    rebuilt, late, untimed, before = read("result-odd").segments

    assert rebuilt.text == "Second item, done"
    assert [word.text for word in rebuilt.words] == ["done"]
    assert (late.start, late.end, late.speaker) == (0.9, 0.9, "A")
    assert (untimed.start, untimed.end, untimed.timing) == (None, None, Timing.NONE)
    assert untimed.speaker is None
    assert (before.start, before.end) == (None, None)


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_a_result_without_transcripts_is_an_error(name: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match="no transcripts"):
        read(name)
