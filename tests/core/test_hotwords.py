"""Hotwords: lists as people write them, and the way in which each model takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.core.hotwords import (
    AUTO_PREFIX,
    Asked,
    apply_hotwords,
    parse_hotwords,
    plan_hotwords,
    read_hotwords,
    takes_hotwords,
    write_hotwords,
)
from asrcli.errors import ConfigurationError, FeatureError, RefusedError, UsageError
from asrcli.providers.base import Hotword, Model, Options
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.qwen.failures import read_failure
from asrcli.providers.qwen.vocabularies import Vocabularies
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from asrcli.transport.retry import Retrier
from tests.emulators.dashscope import DashScope
from tests.emulators.dashscope.hosts import KEY

FUN, LIVE = resolve("fun-asr"), resolve("fun-asr-realtime")
AUDIO = resolve("qwen-audio-3.1-asr-flash")
FLASH, OMNI = resolve("qwen3-asr-flash"), resolve("qwen3.5-omni-flash")
WHISPER = resolve("whisper-1", provider="openai")
PLAIN = Options()
NAME = f"vocab-asrcli-{'0' * 32}"


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("Qwen", Hotword("Qwen")),
        ("  Model   Studio  ", Hotword("Model Studio")),
        ("Qwen\t5", Hotword("Qwen", 5)),
        ("Qwen\t 50 ", Hotword("Qwen", 50)),
        ("Straße\t4\tde", Hotword("Straße", 4, "de")),
        ("Straße\t\tGerman", Hotword("Straße", None, "de")),
        ("GPT 4\t", Hotword("GPT 4")),
        ("GPT 4\t3\t", Hotword("GPT 4", 3)),
        ("Boeing 747", Hotword("Boeing 747")),
        ("Area 51", Hotword("Area 51")),
        ("R2D2", Hotword("R2D2")),
        ("4", Hotword("4")),
        ("C#", Hotword("C#")),
        (r"\#MeToo", Hotword("#MeToo")),
        ("阿里巴巴", Hotword("阿里巴巴")),
        ("a, b", Hotword("a, b")),
    ],
)
def test_a_line_is_a_word_with_its_weight_and_language(line: str, word: Hotword) -> None:
    assert parse_hotwords(line.encode(), "words.txt") == (word,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GPT 4", "weight or in a number"),
        ("阿里巴巴 50", "weight or in a number"),
        ("a\t0", "'0' is no weight"),
        ("a\t6", "'6' is no weight"),
        ("a\t-1", "'-1' is no weight"),
        ("a\t4.5", "'4.5' is no weight"),
        ("a\thigh", "'high' is no weight"),
        ("a\t٤", "is no weight"),
        ("a\t4\tKlingon", "no language 'Klingon'"),
        ("a\t4\ten\tmore", "more than word"),
        ("\t4", "there is no word"),
        ("a\x1b[31m", "cannot be printed"),
        ("a\x00b", "cannot be printed"),
        ("first\t5", "another weight than before (words.txt, line 2)"),
    ],
)
def test_a_line_that_is_unclear_is_refused_with_its_number(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_hotwords(f"# names\nfirst\n{line}\n".encode(), "words.txt")

    assert str(caught.value).startswith("words.txt, line 3: ")
    assert said in str(caught.value)
    assert caught.value.exit_status == 2


def test_marks_and_line_ends_of_other_systems_do_no_harm() -> None:
    content = "\ufeff# names\r\none\r\n\r\n  # more\ntwo\t5\rthree\none".encode()

    found = parse_hotwords(content, "words.txt")

    assert found == (Hotword("one"), Hotword("two", 5), Hotword("three"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n", "\ufeff".encode()])
def test_a_list_without_words_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="holds no hotwords"):
        parse_hotwords(content, "words.txt")


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", "ü".encode("latin-1"), b"a\n" * 500_001])
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"words\.txt"):
        parse_hotwords(content, "words.txt")


def test_a_list_that_is_written_is_read_as_the_same() -> None:
    words = (
        Hotword("one"),
        Hotword("GPT 4"),
        Hotword("#a", 5),
        Hotword("Straße", None, "de"),
        Hotword("zwei", 2, "de"),
    )

    assert parse_hotwords(write_hotwords(words).encode(), "words.txt") == words


def test_a_file_goes_before_an_id_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert read_hotwords(NAME) == Asked(vocabulary=NAME)
    Path(NAME).write_text("Qwen\n", "utf-8")
    assert read_hotwords(NAME) == Asked((Hotword("Qwen"),))


def test_words_of_the_command_line_beat_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one\t2\ntwo\n", "utf-8")

    found = read_hotwords(str(path), ["GPT 4", "one\t5", "#tag"])

    assert found.words == (Hotword("GPT 4"), Hotword("one", 5), Hotword("#tag"), Hotword("two"))


@pytest.mark.parametrize("word", ["", " ", "a\t9"])
def test_an_odd_word_of_the_command_line_is_refused(word: str) -> None:
    with pytest.raises(ConfigurationError, match="--hotword"):
        read_hotwords(None, [word])


@pytest.mark.parametrize("name", ["nowhere.txt", ".", "vocab-nothing", ""])
def test_what_is_neither_a_file_nor_an_id_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        read_hotwords(name)


def test_nothing_is_asked_for_without_words() -> None:
    assert not read_hotwords(None)
    assert read_hotwords(None, ["a"])


# --- ways -------------------------------------------------------------------------------------


@dataclass
class Bench:
    """The service, what was kept, and how often the service was asked for."""

    service: DashScope
    kept: dict[str, str] = field(default_factory=dict)
    opened: int = 0

    lists: Vocabularies = field(init=False)

    def __post_init__(self) -> None:
        self.lists = vocabularies(self.service)

    def open(self) -> Vocabularies:
        self.opened += 1
        return vocabularies(self.service)

    def apply(
        self, asked: Asked, model: Model, options: Options = PLAIN
    ) -> tuple[Options, tuple[str, ...]]:
        plan = plan_hotwords(asked, model, options)
        found, warnings = apply_hotwords(
            plan,
            options,
            service=self.open,
            recall=self.kept.get,
            keep=self.kept.__setitem__,
        )
        return found, (*plan.warnings, *warnings)

    @property
    def ids(self) -> list[str]:
        return [vocabulary.id for vocabulary in self.service.vocabularies.all]


def vocabularies(service: DashScope) -> Vocabularies:
    http = HTTPClient(
        "qwen",
        "https://dashscope-intl.aliyuncs.com/api/v1",
        {"Authorization": Secret(KEY)},
        Connection(environ={}),
        retrier=Retrier(),
        read_failure=read_failure,
        transport=httpx.MockTransport(service),
    )
    return Vocabularies(http)


@pytest.fixture
def bench() -> Iterator[Bench]:
    service = DashScope()
    bench = Bench(service)
    yield bench
    bench.lists.close()
    service.close()


def words(*texts: str, **more: Any) -> Asked:
    return Asked(tuple(Hotword(text, **more) for text in texts))


@pytest.mark.parametrize("model", [FUN, LIVE, resolve("fun-asr-flash-2026-06-15")])
def test_a_list_is_made_for_exactly_the_model(bench: Bench, model: Model) -> None:
    options, warnings = bench.apply(words("Qwen"), model)

    (made,) = bench.service.vocabularies.all
    assert (options.vocabulary, options.hotwords, options.prompt) == (made.id, (), None)
    assert made.target_model == model.id
    assert made.prefix == AUTO_PREFIX
    assert made.words == ({"text": "Qwen", "weight": 4},)
    assert warnings == ()


def test_a_list_is_made_once_for_each_content_and_model(bench: Bench) -> None:
    first = bench.apply(words("Qwen"), FUN)
    again = bench.apply(words("Qwen", weight=4), FUN)
    other = bench.apply(words("Qwen", weight=5), FUN)
    live = bench.apply(words("Qwen"), LIVE)

    assert first == again
    assert len({first[0].vocabulary, other[0].vocabulary, live[0].vocabulary}) == 3
    assert len(bench.ids) == 3


def test_a_list_whose_id_was_not_kept_is_found_and_not_made_twice(bench: Bench) -> None:
    first, _ = bench.apply(words("Qwen"), FUN)
    bench.kept.clear()
    bench.apply(words("other"), FUN)

    second, _ = bench.apply(words("Qwen"), FUN)

    assert second == first
    assert len(bench.ids) == 2
    assert first.vocabulary in bench.kept.values()


def test_a_list_that_is_gone_is_made_again(bench: Bench) -> None:
    first, _ = bench.apply(words("Qwen"), FUN)
    bench.lists.delete(first.vocabulary or "")

    second, _ = bench.apply(words("Qwen"), FUN)

    assert second.vocabulary in bench.ids
    assert list(bench.kept.values()) == [second.vocabulary]


def test_room_is_made_by_deleting_the_oldest_list_that_was_made_in_this_way(bench: Bench) -> None:
    own = [bench.lists.create([Hotword("a")], FUN, prefix="mine") for _ in range(8)]
    for text in ("one", "two", "three"):
        options, warnings = bench.apply(words(text), FUN)

    assert set(own) < set(bench.ids)
    assert options.vocabulary in bench.ids
    assert len(bench.ids) == 10
    assert "was deleted" in warnings[0]


def test_lists_of_the_user_are_never_deleted(bench: Bench) -> None:
    for _ in range(10):
        bench.lists.create([Hotword("a")], FUN)

    with pytest.raises(RefusedError, match="already has 10"):
        bench.apply(words("Qwen"), FUN)

    assert len(bench.ids) == 10


def test_a_list_that_is_not_deployed_is_told(bench: Bench) -> None:
    bench.service.vocabularies.status = "UNDEPLOYED"

    _, made = bench.apply(words("Qwen"), FUN)
    _, again = bench.apply(words("Qwen"), FUN)

    assert "UNDEPLOYED" in made[0]
    assert made == again


def test_a_list_that_was_named_is_used(bench: Bench) -> None:
    name = bench.lists.create([Hotword("Qwen")], FUN)

    assert bench.apply(Asked(vocabulary=name), FUN) == (Options(vocabulary=name), ())


def test_a_list_of_another_model_is_refused_since_it_would_be_ignored(bench: Bench) -> None:
    name = bench.lists.create([Hotword("Qwen")], FUN)

    with pytest.raises(UsageError, match="made for fun-asr: fun-asr-realtime would ignore"):
        bench.apply(Asked(vocabulary=name), LIVE)


def test_a_list_that_is_not_there_is_refused(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="there is no list"):
        bench.apply(Asked(vocabulary=NAME), FUN)


def test_a_list_and_words_at_once_are_refused_where_there_is_one_list() -> None:
    with pytest.raises(UsageError, match="one list"):
        plan_hotwords(Asked((Hotword("a"),), NAME), FUN)


def test_qwen_audio_takes_words_in_the_request_and_a_list_beside_them(bench: Bench) -> None:
    name = bench.lists.create([Hotword("Qwen")], AUDIO)
    asked = Asked((Hotword("Kiel", 50),), name)

    options, _ = bench.apply(asked, AUDIO)

    assert (options.hotwords, options.vocabulary) == ((Hotword("Kiel", 50),), name)


def test_words_with_a_language_need_a_list_for_qwen_audio_too(bench: Bench) -> None:
    options, _ = bench.apply(words("Kiel", language="de"), AUDIO)

    assert options.hotwords == ()
    assert options.vocabulary == bench.ids[0]


def test_omni_is_told_the_words_in_its_instructions(bench: Bench) -> None:
    options, _ = bench.apply(words("Kiel", "Förde"), OMNI, Options(prompt="Boats."))

    assert [word.text for word in options.hotwords] == ["Kiel", "Förde"]
    assert options.prompt == "Boats."
    assert bench.opened == 0


@pytest.mark.parametrize("model", [FLASH, WHISPER, resolve("qwen3-asr-flash-realtime")])
def test_models_with_context_get_the_words_there(bench: Bench, model: Model) -> None:
    alone, _ = bench.apply(words("Kiel", "Förde"), model)
    beside, _ = bench.apply(words("Kiel"), model, Options(prompt="Boats."))

    assert alone == Options(prompt="Words that may occur: Kiel, Förde.")
    assert beside == Options(prompt="Boats.\nWords that may occur: Kiel.")
    assert bench.opened == 0


@pytest.mark.parametrize(
    ("name", "provider"),
    [("qwen3-asr-flash-filetrans", None), ("qwen3-asr-flash", "onemin"), ("whisper-1", "onemin")],
)
def test_a_model_that_takes_no_words_is_refused_with_one_that_does(
    name: str, provider: str | None
) -> None:
    model = resolve(name, provider=provider)

    assert not takes_hotwords(model)
    with pytest.raises(FeatureError, match="hotwords") as caught:
        plan_hotwords(words("Kiel"), model)
    assert "fun-asr can" in (caught.value.hint or "")


def test_a_list_is_refused_by_models_that_take_only_words() -> None:
    for model in (FLASH, OMNI, WHISPER):
        with pytest.raises(FeatureError, match="lists"):
            plan_hotwords(Asked(vocabulary=NAME), model)


def test_nothing_changes_where_nothing_is_asked_for(bench: Bench) -> None:
    nothing = resolve("qwen3-asr-flash-filetrans")

    assert bench.apply(Asked(), nothing) == (PLAIN, ())
    assert bench.opened == 0


def test_a_plan_sends_nothing(bench: Bench) -> None:
    plan = plan_hotwords(words("Qwen"), FUN)

    assert plan.makes_list
    assert list(bench.service.requests) == []


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "most"), [(FUN, 2_000), (resolve("fun-asr-mtl"), 500)])
def test_too_many_words_are_trimmed_with_a_warning(bench: Bench, model: Model, most: int) -> None:
    asked = words(*(f"word {n}th" for n in range(most + 3)))

    _, warnings = bench.apply(asked, model)

    (made,) = bench.service.vocabularies.all
    assert len(made.words) == most
    assert warnings == (f"{model.id} takes {most:,} hotwords: the last 3 were left out",)


def test_a_prompt_has_room_for_the_weightiest_words() -> None:
    asked = Asked((*words(*(f"word number {n}x" for n in range(300))).words, Hotword("Kiel", 5)))

    plan = plan_hotwords(asked, WHISPER)

    assert plan.words[0].text == "Kiel"
    assert 20 < len(plan.words) < 60
    assert f"the last {301 - len(plan.words)} were left out" in plan.warnings[0]


def test_a_word_that_a_list_cannot_have_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="16 characters"):
        plan_hotwords(words("阿" * 16), FUN)


def test_a_language_is_told_in_the_models_own_code(bench: Bench) -> None:
    bench.apply(words("Manila", language="fil"), FUN)

    assert bench.service.vocabularies.all[0].words[0]["lang"] == "tl"


def test_words_of_another_language_than_the_recordings_are_told() -> None:
    plan = plan_hotwords(words("Kiel", language="de"), FUN, Options(language="en"))

    assert "another language than en" in plan.warnings[0]


def test_every_model_has_a_way_or_a_refusal() -> None:
    for model in models():
        if takes_hotwords(model):
            assert plan_hotwords(words("Kiel"), model).words
        else:
            with pytest.raises(FeatureError):
                plan_hotwords(words("Kiel"), model)
