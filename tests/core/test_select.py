from __future__ import annotations

from collections.abc import Callable

import pytest

from asrcli.core.select import Choice, Need, choose, explain
from asrcli.errors import (
    AsrError,
    FeatureError,
    KeyMissingError,
    LanguageError,
    MissingHelperError,
    UnknownModelError,
    UsageError,
)
from asrcli.providers.base import API, Feature, Model

Runs = Callable[[Model], bool]

SHORT_CALLS = {API.ONEMIN, API.SYNC, API.EMBEDDED}
LONG = 1_000.0
BIG = 20_000_000


def all_of_them(model: Model) -> bool:
    return True


def short_calls(model: Model) -> bool:
    return model.api in SHORT_CALLS


def features(words: str) -> frozenset[Feature]:
    return frozenset(map(Feature, words.split()))


def ask(need: Need, *, keys: str = "qwen local", can_run: Runs = all_of_them) -> Choice:
    usable = {name: name in keys.split() for name in ("qwen", "onemin", "openai", "local")}
    return choose(need, usable=usable, can_run=can_run)


def chosen(need: Need, *, keys: str = "qwen local", can_run: Runs = all_of_them) -> str:
    model = ask(need, keys=keys, can_run=can_run).model
    return f"{model.provider}:{model.id}"


def refusal(need: Need, *, keys: str = "qwen local", can_run: Runs = all_of_them) -> AsrError:
    with pytest.raises(AsrError) as caught:
        ask(need, keys=keys, can_run=can_run)
    return caught.value


# --- auto: the table --------------------------------------------------------------------------

RECORDINGS = [
    # short and plain
    (Need(), "qwen3-asr-flash"),
    (Need(model="auto"), "qwen3-asr-flash"),
    (Need(duration=300.0, size=10_000_000), "qwen3-asr-flash"),
    (Need(features=features("prompt")), "qwen3-asr-flash"),
    (Need(language="yue"), "qwen3-asr-flash"),
    (Need(itn=True), "qwen3-asr-flash"),
    (Need(itn=False), "qwen3-asr-flash"),
    # long, times, emotion
    (Need(duration=300.5), "qwen3-asr-flash-filetrans"),
    (Need(size=10_000_001), "qwen3-asr-flash-filetrans"),
    (Need(features=features("times")), "qwen3-asr-flash-filetrans"),
    (Need(features=features("words")), "qwen3-asr-flash-filetrans"),
    (Need(features=features("emotion")), "qwen3-asr-flash-filetrans"),
    (Need(duration=LONG, itn=False), "qwen3-asr-flash-filetrans"),
    # speakers, hotwords
    (Need(features=features("diarize")), "fun-asr"),
    (Need(features=features("hotwords")), "fun-asr"),
    (Need(features=features("diarize words"), duration=LONG), "fun-asr"),
    # a prompt with a long file, a rare language
    (Need(features=features("prompt"), duration=LONG), "qwen3.5-omni-flash"),
    (Need(features=features("prompt"), size=BIG), "qwen3.5-omni-flash"),
    (Need(language="ca"), "qwen3.5-omni-flash"),
    # what only one of them can
    (Need(language="nl"), "fun-asr"),
    (Need(language="nl", duration=LONG), "fun-asr"),
    (Need(features=features("prompt emotion")), "qwen3-asr-flash"),
    (Need(features=features("hotwords prompt")), "qwen-audio-3.1-asr-flash"),
]


@pytest.mark.parametrize(("need", "model"), RECORDINGS)
def test_the_table_decides_for_recordings(need: Need, model: str) -> None:
    assert chosen(need) == f"qwen:{model}"


LIVE = [
    (Need(realtime=True), "qwen3-asr-flash-realtime"),
    (Need(realtime=True, language="de"), "qwen3-asr-flash-realtime"),
    (Need(realtime=True, language="yue"), "qwen3-asr-flash-realtime"),
    (Need(realtime=True, features=features("emotion")), "qwen3-asr-flash-realtime"),
    (Need(realtime=True, language="zh-CN"), "fun-asr-realtime"),
    (Need(realtime=True, language="en"), "fun-asr-realtime"),
    (Need(realtime=True, language="Japanese"), "fun-asr-realtime"),
    (Need(realtime=True, language="nl"), "fun-asr-realtime"),
    (Need(realtime=True, features=features("hotwords")), "fun-asr-realtime"),
    (Need(realtime=True, features=features("prompt")), "qwen3.5-omni-flash-realtime"),
    (Need(realtime=True, language="ca"), "qwen3.5-omni-flash-realtime"),
    (Need(realtime=True, features=features("emotion"), language="en"), "qwen3-asr-flash-realtime"),
    (Need(realtime=True, features=features("prompt emotion")), "qwen3-asr-flash-realtime"),
    (
        Need(realtime=True, features=features("prompt hotwords")),
        "qwen-audio-3.1-asr-flash-streaming",
    ),
]


@pytest.mark.parametrize(("need", "model"), LIVE)
def test_the_table_decides_for_live_audio(need: Need, model: str) -> None:
    assert chosen(need) == f"qwen:{model}"


WITHOUT_JOBS = [
    (Need(duration=LONG), "qwen3-asr-flash"),
    (Need(features=features("times")), "qwen3-asr-flash"),
    (Need(features=features("emotion"), duration=LONG), "qwen3-asr-flash"),
    (Need(features=features("prompt"), duration=LONG), "qwen3-asr-flash"),
]


@pytest.mark.parametrize(("need", "model"), WITHOUT_JOBS)
def test_where_jobs_cannot_be_called_the_short_model_works_in_pieces(
    need: Need, model: str
) -> None:
    assert chosen(need, can_run=short_calls) == f"qwen:{model}"


def test_what_a_model_can_do_comes_before_what_it_is_only_asked_for_in_a_prompt() -> None:
    choice = ask(Need(language="ca", features=features("emotion")))

    assert choice.model.id == "qwen3.5-omni-flash"
    assert "without a guarantee" in choice.warnings[0]


# --- auto: whose key --------------------------------------------------------------------------

KEYS = [
    ("qwen onemin openai local", "qwen:qwen3-asr-flash"),
    ("onemin openai local", "onemin:qwen3-asr-flash"),
    ("openai local", "openai:whisper-1"),
    ("local", "local:pocketsphinx-en-us"),
]


@pytest.mark.parametrize(("keys", "model"), KEYS)
def test_of_several_keys_qwen_comes_first_then_onemin_then_a_host_of_ones_own(
    keys: str, model: str
) -> None:
    assert chosen(Need(), keys=keys) == model


def test_what_is_asked_for_counts_more_than_whose_key_is_preferred() -> None:
    assert chosen(Need(language="cy"), keys="qwen onemin") == "onemin:whisper-1"


def test_onemin_cuts_long_recordings() -> None:
    choice = ask(Need(duration=LONG), keys="onemin")

    assert choice.model.id == "qwen3-asr-flash"
    assert "pieces" in choice.why


def test_a_provider_that_is_named_is_taken_whatever_keys_there_are() -> None:
    assert chosen(Need(provider="onemin"), keys="qwen onemin") == "onemin:qwen3-asr-flash"
    assert chosen(Need(provider="local"), keys="qwen local") == "local:pocketsphinx-en-us"


def test_openai_by_name_needs_no_host() -> None:
    assert chosen(Need(provider="openai"), keys="") == "openai:whisper-1"
    assert chosen(Need(provider="openai", model="my/own"), keys="") == "openai:my/own"


# --- no key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [None, "en", "en-GB", "english"])
@pytest.mark.parametrize("realtime", [False, True])
def test_without_a_key_english_is_done_here_with_one_note(
    language: str | None, realtime: bool
) -> None:
    choice = ask(Need(language=language, realtime=realtime), keys="local")

    assert (choice.model.provider, choice.language) == ("local", "en")
    assert len(choice.warnings) == 1
    assert "DASHSCOPE_API_KEY" in choice.warnings[0]


def test_the_note_says_so_if_english_is_only_assumed() -> None:
    assumed = ask(Need(), keys="local").warnings[0]
    told = ask(Need(language="en"), keys="local").warnings[0]

    assert "assumed" in assumed
    assert "assumed" not in told


CLOSED = [
    (Need(language="de"), ["DASHSCOPE_API_KEY", "ONEMIN_API_KEY"]),
    (Need(language="cy"), ["ONEMIN_API_KEY"]),
    (Need(features=features("diarize")), ["DASHSCOPE_API_KEY"]),
    (Need(features=features("emotion")), ["DASHSCOPE_API_KEY"]),
    (Need(features=features("prompt")), ["DASHSCOPE_API_KEY"]),
    (Need(itn=True), ["DASHSCOPE_API_KEY", "ONEMIN_API_KEY"]),
    (Need(realtime=True, language="de"), ["DASHSCOPE_API_KEY"]),
]


@pytest.mark.parametrize(("need", "variables"), CLOSED)
def test_without_a_key_what_the_engine_cannot_do_names_the_keys_that_would_help(
    need: Need, variables: list[str]
) -> None:
    error = refusal(need, keys="local")

    assert isinstance(error, KeyMissingError)
    assert error.exit_status == 4
    assert error.places == variables


def test_without_a_key_and_without_an_engine_the_keys_are_named() -> None:
    error = refusal(Need(), keys="")

    assert isinstance(error, KeyMissingError)
    assert "DASHSCOPE_API_KEY or ONEMIN_API_KEY" in str(error.hint)
    assert "not installed" in str(error.hint)


def test_a_key_that_would_not_help_is_not_asked_for() -> None:
    error = refusal(Need(features=features("diarize")), keys="local", can_run=short_calls)

    assert isinstance(error, FeatureError)
    assert "this version of asrcli cannot call" in str(error.hint)


def test_a_key_for_live_audio_is_asked_for_where_the_one_at_hand_has_no_such_model() -> None:
    error = refusal(Need(realtime=True), keys="onemin local")

    assert isinstance(error, KeyMissingError)
    assert error.places == ["DASHSCOPE_API_KEY"]


def test_the_engine_by_name_needs_to_be_installed() -> None:
    assert isinstance(refusal(Need(provider="local"), keys="qwen"), MissingHelperError)


def test_a_provider_by_name_needs_its_key() -> None:
    error = refusal(Need(provider="onemin"), keys="qwen local")

    assert isinstance(error, KeyMissingError)
    assert error.places == ["ONEMIN_API_KEY"]


# --- a model by name --------------------------------------------------------------------------


def test_a_named_model_is_taken_though_another_would_be_preferred() -> None:
    assert chosen(Need(model="qwen3.5-omni-plus")) == "qwen:qwen3.5-omni-plus"
    assert chosen(Need(model="qwen3-asr-flash-2026-02-10")) == "qwen:qwen3-asr-flash-2026-02-10"
    assert chosen(Need(model="local")) == "local:pocketsphinx-en-us"


@pytest.mark.parametrize(
    ("keys", "provider", "at"),
    [
        ("qwen onemin", None, "qwen"),
        ("onemin", None, "onemin"),
        ("qwen onemin", "onemin", "onemin"),
    ],
)
def test_a_model_that_two_sell_is_bought_where_there_is_a_key(
    keys: str, provider: str | None, at: str
) -> None:
    need = Need(model="qwen3-asr-flash", provider=provider)

    assert chosen(need, keys=keys) == f"{at}:qwen3-asr-flash"


def test_a_model_that_two_sell_is_bought_where_it_can_do_what_is_asked_for() -> None:
    need = Need(model="whisper-1", features=features("words"))

    assert chosen(need, keys="onemin openai") == "openai:whisper-1"


def test_a_named_model_without_its_key_names_the_variables() -> None:
    error = refusal(Need(model="qwen3-asr-flash"), keys="local")

    assert isinstance(error, KeyMissingError)
    assert error.places == ["DASHSCOPE_API_KEY", "ONEMIN_API_KEY"]


def test_an_unknown_id_of_a_family_passes_with_a_note() -> None:
    choice = ask(Need(model="qwen3-asr-flash-2027-01-01"))

    assert choice.model.id == "qwen3-asr-flash-2027-01-01"
    assert "not in the catalogue" in choice.warnings[0]


def test_any_id_of_ones_own_server_passes_without_one() -> None:
    assert ask(Need(provider="openai", model="my/own"), keys="openai").warnings == ()


def test_an_unknown_id_of_no_family_is_refused_and_ones_own_server_pointed_out() -> None:
    error = refusal(Need(model="my-whisper"), keys="openai")

    assert isinstance(error, UnknownModelError)
    assert "-p openai" in str(error.hint)


def test_an_unknown_id_is_refused_with_the_nearest() -> None:
    error = refusal(Need(model="qwen3-asr-flsh"))

    assert isinstance(error, UnknownModelError)
    assert error.exit_status == 2
    assert "qwen3-asr-flash" in str(error.hint)
    assert "-p openai" not in str(error.hint)


def test_a_model_that_this_version_cannot_call_is_refused_with_one_that_it_can() -> None:
    error = refusal(Need(model="fun-asr"), can_run=short_calls)

    assert isinstance(error, UsageError)
    assert "this version of asrcli cannot call fun-asr" in str(error)
    assert "qwen3-asr-flash can" in str(error.hint)


# --- features ---------------------------------------------------------------------------------

LACKING = [
    ("fun-asr", "emotion", "qwen3-asr-flash"),
    ("qwen3-asr-flash", "diarize", "fun-asr"),
    ("qwen3-asr-flash-filetrans", "hotwords", "fun-asr"),
    ("qwen3-asr-flash", "words", "qwen3-asr-flash-filetrans"),
    ("qwen3-asr-flash-filetrans", "prompt", "qwen3-asr-flash"),
    ("qwen3.5-omni-flash", "diarize", "fun-asr"),
    ("qwen3.5-omni-flash", "words", "qwen3-asr-flash-filetrans"),
    ("qwen3.5-omni-flash", "upload", "qwen3-asr-flash"),
]


@pytest.mark.parametrize(("model", "feature", "instead"), LACKING)
def test_a_feature_that_the_model_lacks_is_refused_with_the_model_that_has_it(
    model: str, feature: str, instead: str
) -> None:
    error = refusal(Need(model=model, features=features(feature)))

    assert isinstance(error, FeatureError)
    assert error.exit_status == 2
    assert instead in error.instead
    assert f"{instead}" in str(error.hint)
    assert "choose it with -m" in str(error.hint)


def test_a_feature_that_only_models_we_cannot_call_have_says_so() -> None:
    error = refusal(Need(features=features("diarize")), can_run=short_calls)

    assert isinstance(error, FeatureError)
    assert str(error.hint).startswith("fun-asr, ")
    assert "this version of asrcli cannot call that" in str(error.hint)


def test_models_that_we_can_call_are_named_before_those_that_we_cannot() -> None:
    need = Need(model="fun-asr", features=features("emotion"))
    error = refusal(need, can_run=lambda m: m.api is not API.JOB)

    assert str(error.hint) == "qwen3-asr-flash can: choose it with -m."


def test_a_feature_that_needs_another_key_says_which() -> None:
    error = refusal(Need(features=features("emotion")), keys="onemin local")

    assert isinstance(error, FeatureError)
    assert "qwen3-asr-flash at onemin cannot do emotion" in str(error)
    assert "DASHSCOPE_API_KEY" in str(error.hint)


def test_a_key_at_hand_is_not_hidden_by_one_that_would_help_more() -> None:
    need = Need(model="qwen3-asr-flash", features=features("emotion"))

    assert isinstance(refusal(need, keys="onemin"), FeatureError)
    assert isinstance(refusal(need, keys="local"), KeyMissingError)


def test_a_feature_that_another_provider_has_says_how_to_choose_it() -> None:
    need = Need(provider="onemin", features=features("emotion"))

    assert "-p qwen and -m" in str(refusal(need, keys="qwen onemin").hint)


def test_features_that_no_model_has_together_are_refused() -> None:
    error = refusal(Need(features=features("diarize emotion")))

    assert isinstance(error, FeatureError)
    assert error.hint == "No model does all of this at once."


def test_times_are_made_by_cutting_where_the_model_has_none() -> None:
    need = Need(model="qwen3-asr-flash", features=features("times"))

    assert chosen(need, keys="onemin") == "onemin:qwen3-asr-flash"


def test_emotion_with_omni_is_asked_for_in_the_prompt() -> None:
    choice = ask(Need(model="qwen3.5-omni-plus", features=features("emotion")))

    assert "in its prompt" in choice.warnings[0]


@pytest.mark.parametrize(
    ("model", "itn"),
    [
        ("qwen3-asr-flash", True),
        ("qwen3-asr-flash", False),
        ("fun-asr", True),
        ("local", False),
        ("fun-asr", None),
        ("qwen3.5-omni-flash", None),
    ],
)
def test_itn_may_be_asked_for_as_far_as_the_model_goes(model: str, itn: bool | None) -> None:
    assert ask(Need(model=model, itn=itn)).model == ask(Need(model=model)).model


@pytest.mark.parametrize(
    ("model", "itn", "word"),
    [
        ("fun-asr", False, "--no-itn"),
        ("local", True, "--itn"),
        ("qwen3.5-omni-flash", False, "--no-itn"),
        ("qwen3.5-omni-flash", True, "--itn"),
    ],
)
def test_itn_that_cannot_be_switched_is_refused(model: str, itn: bool, word: str) -> None:
    error = refusal(Need(model=model, itn=itn))

    assert isinstance(error, FeatureError)
    assert word in str(error)


def test_itn_for_a_language_without_it_is_noted() -> None:
    assert "only Chinese and English" in ask(Need(itn=True, language="de")).warnings[0]
    assert ask(Need(itn=True, language="en")).warnings == ()


@pytest.mark.parametrize(
    ("name", "warned"),
    [("paraformer-v1", True), ("paraformer-mtl-v1", True), ("paraformer-v2", False),
     ("paraformer-8k-v2", False), ("paraformer-realtime-v2", False)],
)  # fmt: skip
def test_a_model_that_cannot_be_told_the_language_says_so(name: str, warned: bool) -> None:
    live = "realtime" in name

    told = ask(Need(model=name, language="zh", realtime=live)).warnings

    assert told == ((f"{name} finds the language by itself: it cannot be told zh",) * warned)
    assert ask(Need(model="paraformer-v1")).warnings == ()


# --- languages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "language", "told"),
    [
        ("qwen3-asr-flash", "tl", "fil"),
        ("fun-asr", "fil", "tl"),
        ("fun-asr", "yue", "zh"),
        ("qwen3.5-omni-flash", "pt-BR", "Portuguese"),
        ("qwen3-asr-flash", None, None),
    ],
)
def test_the_model_is_told_the_language_in_its_own_code(
    model: str, language: str | None, told: str | None
) -> None:
    assert ask(Need(model=model, language=language)).language == told


@pytest.mark.parametrize("model", [None, "fun-asr"])
def test_what_is_no_language_is_refused_with_the_nearest(model: str | None) -> None:
    error = refusal(Need(model=model, language="Portugese"))

    assert isinstance(error, LanguageError)
    assert "Portuguese" in str(error.hint)


def test_a_word_that_is_no_language_needs_no_key_to_be_refused() -> None:
    assert isinstance(refusal(Need(language="qq"), keys="local"), LanguageError)


def test_a_language_that_the_model_does_not_know_is_refused_with_one_that_does() -> None:
    error = refusal(Need(model="fun-asr", language="tr"))

    assert isinstance(error, LanguageError)
    assert str(error.hint).startswith("qwen3-asr-flash, ")


def test_the_model_that_knows_the_language_also_does_the_rest() -> None:
    error = refusal(Need(model="fun-asr", language="tr", features=features("words")))

    assert str(error.hint).startswith("qwen3-asr-flash-filetrans")


def test_a_language_that_needs_another_key_says_which() -> None:
    error = refusal(Need(language="cy"))

    assert isinstance(error, LanguageError)
    assert "ONEMIN_API_KEY" in str(error.hint)


def test_a_model_that_we_can_call_with_another_key_is_better_advice_than_one_that_we_cannot() -> (
    None
):
    hint = str(refusal(Need(language="nl"), can_run=short_calls).hint)

    assert hint.startswith("whisper-1, ")
    assert "ONEMIN_API_KEY" in hint


def test_a_promise_in_a_prompt_is_advice_where_there_is_nothing_better() -> None:
    need = Need(model="fun-asr", language="ca", features=features("emotion"))

    assert str(refusal(need).hint).startswith("qwen3.5-omni-flash, ")


def test_a_language_on_which_the_pages_disagree_passes_if_the_model_is_named() -> None:
    need = Need(model="fun-asr-realtime", language="de", realtime=True)

    assert ask(need).language == "de"


def test_a_model_that_has_to_be_told_the_language_is_refused_without_one() -> None:
    error = refusal(Need(model="latest_long"), keys="onemin")

    assert isinstance(error, UsageError)
    assert "-l en-US" in str(error.hint)


def test_a_model_that_wants_a_region_is_not_given_a_guess() -> None:
    error = refusal(Need(model="latest_long", language="en"), keys="onemin")

    assert isinstance(error, LanguageError)
    assert error.nearest == ["en-US", "en-GB", "en-AU"]


def test_a_model_of_one_language_assumes_it_and_says_so() -> None:
    choice = ask(Need(model="local"))

    assert choice.language == "en"
    assert "English" in choice.warnings[0]


# --- live and recorded ------------------------------------------------------------------------


def test_a_model_for_live_audio_is_refused_for_a_file_with_its_sibling_named() -> None:
    error = refusal(Need(model="fun-asr-realtime"))

    assert isinstance(error, UsageError)
    assert str(error) == "fun-asr-realtime takes live audio, not files"
    assert str(error.hint).startswith("fun-asr takes files")


def test_a_sibling_that_we_cannot_call_is_named_with_a_model_that_we_can() -> None:
    hint = str(refusal(Need(model="fun-asr-realtime"), can_run=short_calls).hint)

    assert hint.startswith("fun-asr takes files, but this version")
    assert "qwen3-asr-flash takes files: choose it with -m." in hint


def test_a_model_for_files_is_refused_for_live_audio_with_its_sibling_named() -> None:
    error = refusal(Need(model="qwen3-asr-flash", realtime=True))

    assert str(error) == "qwen3-asr-flash takes files, not live audio"
    assert "qwen3-asr-flash-realtime" in str(error.hint)


def test_a_provider_without_models_for_live_audio_says_who_has_some() -> None:
    error = refusal(Need(provider="onemin", realtime=True), keys="onemin")

    assert isinstance(error, UsageError)
    assert "-p qwen or -p local" in str(error.hint)


# --- in words ---------------------------------------------------------------------------------


def test_a_choice_is_explained_in_one_line() -> None:
    assert explain(ask(Need(language="nl"))) == (
        "fun-asr at qwen, language nl: the first that does all of this"
    )
    assert explain(ask(Need())) == "qwen3-asr-flash at qwen: the shortest way"
    assert explain(ask(Need(model="fun-asr"))) == "fun-asr at qwen: asked for with -m"
