from __future__ import annotations

import pytest

from asrcli.core.ranking import has_models, ranked
from asrcli.core.select import Need
from asrcli.providers.base import Feature
from asrcli.settings import PROVIDERS

EVERYTHING = Need(features=frozenset(Feature), duration=7_200.0, language="zh")


@pytest.mark.parametrize("realtime", [False, True])
def test_every_row_names_a_model_that_the_provider_has(realtime: bool) -> None:
    need = Need(features=frozenset(Feature), duration=7_200.0, realtime=realtime)

    for provider in PROVIDERS:
        found = [model for model, _ in ranked(need, [provider])]
        assert bool(found) == has_models(provider, realtime=realtime)
        assert all(model.provider == provider and model.known for model in found)


def test_the_providers_are_tried_in_the_order_given() -> None:
    providers = [model.provider for model, _ in ranked(EVERYTHING, ["onemin", "qwen"])]

    assert providers == sorted(providers)
    assert {*providers} == {"onemin", "qwen"}


def test_live_audio_is_for_qwen_and_the_embedded_engine() -> None:
    assert [p for p in PROVIDERS if has_models(p, realtime=True)] == ["qwen", "local"]


def test_a_row_whose_condition_does_not_hold_is_left_out() -> None:
    plain = [model.id for model, _ in ranked(Need(), ["qwen"])]
    long = [model.id for model, _ in ranked(Need(duration=301.0), ["qwen"])]

    assert plain[0] == "qwen3-asr-flash"
    assert long[:2] == ["qwen3-asr-flash-filetrans", "qwen3-asr-flash"]
