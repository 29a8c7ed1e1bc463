from __future__ import annotations

import pytest

from asrcli.providers import facts
from asrcli.providers.base import Model
from asrcli.providers.catalogue import resolve


@pytest.fixture
def flash() -> Model:
    return resolve("qwen3-asr-flash", provider="qwen")


@pytest.mark.parametrize(
    ("model_id", "text"),
    [
        ("qwen3-asr-flash", "$0.126/h"),
        ("qwen3-asr-flash-realtime", "$0.324/h"),
        ("qwen3-omni-flash", "$3.81/M in, $1.66/M out"),
        ("qwen3.5-omni-plus", "n/a"),
        ("local", "free"),
        ("medical_dictation", "$4.68/h"),
    ],
)
def test_a_price_is_by_the_hour_by_tokens_free_or_unknown(model_id: str, text: str) -> None:
    assert facts.price_text(resolve(model_id)) == text


def test_the_price_of_an_hour_is_a_number_where_it_is_by_time(flash: Model) -> None:
    assert facts.per_hour(flash.price) == pytest.approx(0.126)
    assert facts.per_hour(resolve("qwen3-omni-flash").price) is None
    assert facts.per_hour(None) is None


@pytest.mark.parametrize(
    ("model_id", "text"),
    [
        ("qwen3-asr-flash", "10 MB, 1 s to 5 min"),
        ("qwen3-asr-flash-filetrans", "2 GB, 12 h"),
        ("qwen3.5-omni-flash-realtime", "2 h"),
        ("gpt-4o-transcribe", "25 MB, 1400 s"),
        ("latest_long", "50 MB"),
        ("local", ""),
    ],
)
def test_limits_are_in_the_units_that_people_use(model_id: str, text: str) -> None:
    assert facts.limits_text(resolve(model_id)) == text


def test_a_feature_that_is_only_asked_for_in_a_prompt_is_marked(flash: Model) -> None:
    assert "emotion" in facts.feature_names(flash)
    assert "~emotion" in facts.feature_names(resolve("qwen3.5-omni-flash"))


def test_languages_have_their_names(flash: Model) -> None:
    assert ("yue", "Cantonese") in facts.language_names(flash)
    assert ("tl", "Filipino") in facts.language_names(resolve("fun-asr"))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1 kB"), (1_500_000, "1.5 MB"), (10**9, "1 GB")],
)
def test_a_megabyte_is_a_million_bytes(count: int, text: str) -> None:
    assert facts.size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 s"), (0.5, "0.5 s"), (60, "1 min"), (90, "90 s"), (3_600, "1 h"), (5_400, "90 min")],
)
def test_a_time_is_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert facts.time_text(seconds) == text
