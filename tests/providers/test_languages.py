from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrcli.errors import LanguageError
from asrcli.providers.base import Model
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.languages import canonical, knows, language_for, name_of, nearest

QWEN3 = "qwen3-asr-flash"
FUN = "fun-asr"
OMNI = "qwen3.5-omni-flash"
MAPPING = [
    # (what a user types, Qwen3-ASR, Fun-ASR, the name in Omni's prompt)
    ("fil", "fil", "tl", "Filipino"),
    ("tl", "fil", "tl", "Filipino"),
    ("tgl", "fil", "tl", "Filipino"),
    ("yue", "yue", "zh", "Cantonese"),
    ("zh-yue", "yue", "zh", "Cantonese"),
    ("no", "no", "no", "Norwegian"),
    ("nb", "no", "no", "Norwegian"),
    ("nn", "no", "no", "Norwegian"),
    ("nb-NO", "no", "no", "Norwegian"),
    ("zh", "zh", "zh", "Chinese"),
    ("zh-CN", "zh", "zh", "Chinese"),
    ("zh-TW", "zh", "zh", "Chinese"),
    ("zh-Hant-TW", "zh", "zh", "Chinese"),
    ("cmn", "zh", "zh", "Chinese"),
    ("wuu", "zh", "zh", "Wu Chinese"),
    ("nan", "zh", "zh", "Minnan"),
    ("en-GB", "en", "en", "English"),
    ("pt-BR", "pt", "pt", "Portuguese"),
    ("es-419", "es", "es", "Spanish"),
    ("en_US", "en", "en", "English"),
    ("de_DE.UTF-8", "de", "de", "German"),
    ("fr_FR@euro", "fr", "fr", "French"),
    ("EN-us", "en", "en", "English"),
    (" en ", "en", "en", "English"),
    ("eng", "en", "en", "English"),
    ("ger", "de", "de", "German"),
    ("deu", "de", "de", "German"),
    ("english", "en", "en", "English"),
    ("Mandarin", "zh", "zh", "Chinese"),
    ("in", "id", "id", "Indonesian"),
]
ONLY_QWEN3 = ["tr", "uk", "is"]
ONLY_FUN = ["nl", "el", "hu", "ro", "bg", "hr", "sk"]


@pytest.fixture
def google() -> Model:
    return resolve("latest_long", provider="onemin")


@pytest.mark.parametrize(("wanted", "qwen3", "fun", "name"), MAPPING)
def test_what_is_typed_becomes_what_each_family_wants(
    wanted: str, qwen3: str, fun: str, name: str
) -> None:
    told = [language_for(resolve(model), wanted) for model in (QWEN3, FUN, OMNI)]

    assert told == [qwen3, fun, name]


@pytest.mark.parametrize(("yes", "no"), [(QWEN3, FUN), (FUN, QWEN3)])
def test_a_language_of_the_other_family_is_refused_and_the_other_family_named(
    yes: str, no: str
) -> None:
    for code in ONLY_QWEN3 if yes == QWEN3 else ONLY_FUN:
        assert language_for(resolve(yes), code) == code
        with pytest.raises(LanguageError) as caught:
            language_for(resolve(no), code)
        assert caught.value.nearest == []
        assert yes in str(caught.value.hint)


def test_only_the_models_that_were_handed_over_are_named() -> None:
    with pytest.raises(LanguageError) as caught:
        language_for(resolve(QWEN3), "nl", among=[resolve("fun-asr-mtl"), resolve("qwen3-omni-x")])

    assert caught.value.hint == "fun-asr-mtl can: choose it with -m."


def test_a_model_for_live_audio_is_no_advice_for_files() -> None:
    with pytest.raises(LanguageError) as caught:
        language_for(resolve(QWEN3), "nl", among=[resolve("fun-asr-realtime")])

    assert "fun-asr-realtime" not in str(caught.value.hint)


def test_a_misspelt_name_is_refused_with_the_nearest_that_the_model_knows() -> None:
    with pytest.raises(LanguageError) as caught:
        language_for(resolve(QWEN3), "Portugese")

    assert caught.value.nearest[0] == "Portuguese"


@pytest.mark.parametrize("wanted", ["", "xx", "e", "en us", "en-", "english-us!", "日本語", "-l"])
def test_what_is_no_language_is_refused(wanted: str) -> None:
    with pytest.raises(LanguageError):
        language_for(resolve(QWEN3), wanted)


def test_every_language_of_a_model_can_be_asked_for_by_its_own_code_and_by_name() -> None:
    for model in models():
        for code in model.languages:
            assert knows(model, code)
            assert knows(model, name_of(code))


def test_a_dialect_of_chinese_is_not_taken_for_chinese_where_no_page_says_so() -> None:
    assert not knows(resolve("whisper-1"), "yue")
    assert not knows(resolve(QWEN3), "hak")
    assert knows(resolve(FUN), "hak")


# --- models that want something else ----------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [("en-US", "en-US"), ("en_us", "en-US"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")],
)
def test_googles_models_want_the_whole_tag(google: Model, wanted: str, tag: str) -> None:
    assert language_for(google, wanted) == tag


@pytest.mark.parametrize("wanted", ["en", "english", "eng"])
def test_a_region_is_not_guessed_but_suggested(google: Model, wanted: str) -> None:
    with pytest.raises(LanguageError) as caught:
        language_for(google, wanted)

    assert caught.value.nearest == ["en-US", "en-GB", "en-AU"]


def test_without_a_suggestion_the_form_is_explained(google: Model) -> None:
    with pytest.raises(LanguageError) as caught:
        language_for(google, "cy")

    assert "region" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("en-GB", "en"), ("nb", "no"), ("fil", "tl"), ("heb", "he"), ("yue", "yue")],
)
def test_a_server_of_openais_kind_is_told_short_codes(wanted: str, code: str) -> None:
    assert language_for(resolve("my/model", provider="openai"), wanted) == code


def test_whisper_is_told_its_own_old_code_for_javanese() -> None:
    assert language_for(resolve("whisper-1"), "jv") == "jw"


def test_the_embedded_engine_knows_english_only() -> None:
    assert language_for(resolve("local"), "en-GB") == "en"
    assert not knows(resolve("local"), "de")


# --- codes of services ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("tl", "fil"),
        ("zh", "zh"),
        ("ZH", "zh"),
        ("jw", "jv"),
        ("iw", "he"),
        ("english", "en"),
        ("en_us", "en-US"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("cmn", "zh"),
        ("", None),
        (None, None),
        ("auto", None),
        ("unknown", None),
    ],
)
def test_what_a_service_answers_becomes_bcp_47(code: str | None, tag: str | None) -> None:
    assert canonical(code) == tag


def test_what_a_model_is_told_comes_back_as_what_was_meant() -> None:
    assert canonical(language_for(resolve(FUN), "fil")) == "fil"


@given(st.text(max_size=12))
def test_no_text_is_too_strange_to_be_looked_at(text: str) -> None:
    tag = canonical(text)

    assert tag is None or canonical(tag) == tag


def test_an_unknown_code_is_its_own_name() -> None:
    assert name_of("xx") == "xx"


def test_short_words_are_compared_with_codes_and_long_ones_with_names() -> None:
    assert "de" in nearest("dee")
    assert nearest("Germn")[0] == "German"
