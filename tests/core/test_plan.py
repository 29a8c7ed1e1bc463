"""The way a recording takes: a pure function of the recording, the model and what is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asrcli.core.plan import Route, piece_codec, piece_seconds, plan, way
from asrcli.core.prepare import Changes
from asrcli.core.select import Choice
from asrcli.media.audio import AudioFile
from asrcli.media.encode import Codec
from asrcli.providers.base import Model
from asrcli.providers.catalogue import resolve

FLASH = resolve("qwen3-asr-flash", provider="qwen")
FILETRANS = resolve("qwen3-asr-flash-filetrans", provider="qwen")
OMNI = resolve("qwen3.5-omni-flash", provider="qwen")
WHISPER = resolve("whisper-1", provider="openai")
LOCAL = resolve("local", provider="local")


def lasting(seconds: float, *, size: int = 1_000_000, channels: int = 1) -> AudioFile:
    return AudioFile(
        Path("talk.mp3"), "talk.mp3", "mp3", "audio/mpeg", "mp3", size, seconds, channels, 16_000
    )


def route(
    audio: AudioFile, model: Model, *, timed: bool = False, apart: bool = False
) -> tuple[Route, float | None]:
    found, why, longest = way(audio, model, Changes(), timed=timed, apart=apart)
    assert why
    return found, longest


@pytest.mark.parametrize(
    ("seconds", "model", "expected"),
    [
        (300.0, FLASH, (Route.WHOLE, None)),
        (300.1, FLASH, (Route.PIECES, 120.0)),
        (43_000.0, FILETRANS, (Route.JOB, None)),
        (1_200.0, OMNI, (Route.WHOLE, None)),
        (1_201.0, OMNI, (Route.PIECES, 600.0)),
        (7_200.0, LOCAL, (Route.HERE, None)),
    ],
)
def test_the_length_decides_between_one_call_and_pieces(
    seconds: float, model: Model, expected: tuple[Route, float | None]
) -> None:
    assert route(lasting(seconds), model) == expected


def test_what_no_conversion_makes_small_enough_goes_in_pieces() -> None:
    long = lasting(4 * 3600.0, size=200_000_000)

    assert route(long, WHISPER) == (Route.PIECES, 600.0)
    assert route(lasting(3600.0, size=200_000_000), WHISPER) == (Route.WHOLE, None)


def test_times_that_a_model_does_not_give_come_from_cues() -> None:
    assert route(lasting(60.0), FLASH, timed=True) == (Route.CUES, 8.0)
    assert route(lasting(60.0), WHISPER, timed=True) == (Route.WHOLE, None)


def test_channels_apart_are_short_turns_where_a_model_gives_no_times() -> None:
    stereo = lasting(60.0, channels=2)

    assert route(stereo, FLASH, apart=True) == (Route.CUES, 30.0)
    assert route(stereo, WHISPER, apart=True) == (Route.PIECES, 600.0)
    assert route(stereo, LOCAL, apart=True)[0] is Route.PIECES


def test_pieces_are_well_under_the_limit_of_a_call() -> None:
    assert piece_seconds(FLASH) == 120.0
    assert piece_seconds(replace(FLASH, max_seconds=None)) == 600.0
    assert piece_seconds(replace(FLASH, max_seconds=5.0)) == 10.0


def test_pieces_are_sent_as_the_smallest_format_that_the_model_takes() -> None:
    assert piece_codec(FLASH) is Codec.OPUS
    assert piece_codec(OMNI) is Codec.MP3
    assert piece_codec(replace(FLASH, formats=frozenset({"wav"}))) is Codec.WAV


def test_a_plan_counts_pieces_requests_bytes_and_cost() -> None:
    made = plan(lasting(3_600.0, size=50_000_000), Choice(FLASH, None, "a test"), Changes())

    assert (made.route, made.pieces, made.requests) == (Route.PIECES, 30, 30)
    assert made.cost == pytest.approx(3_600 * 0.000035)
    assert 10_000_000 < (made.bytes or 0) < 15_000_000


def test_a_plan_of_what_was_listened_to_counts_speech_alone() -> None:
    choice = Choice(FLASH, None, "a test")

    made = plan(lasting(3_600.0), choice, Changes(), speech=360.0, pieces=3)

    assert (made.pieces, made.speech) == (3, 360.0)
    assert made.cost == pytest.approx(360 * 0.000035)


def test_a_price_that_is_not_known_by_the_second_is_no_cost() -> None:
    assert plan(lasting(10.0), Choice(OMNI, None, "a test"), Changes()).cost is None
    assert plan(lasting(10.0), Choice(LOCAL, None, "a test"), Changes()).cost == 0.0


def test_a_file_that_fits_is_sent_with_its_own_bytes() -> None:
    made = plan(lasting(10.0, size=123_456), Choice(FLASH, None, "a test"), Changes())

    assert (made.bytes, made.requests, made.pieces) == (123_456, 1, None)
    assert plan(lasting(10.0), Choice(LOCAL, None, ""), Changes()).requests == 0
