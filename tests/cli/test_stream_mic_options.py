"""Every option of `stream-mic`, for every kind of service: it works, or it is refused with a way.

What does not depend on the service is given to all of them in one run, together with what each can
do; `REFUSED` has the rest.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asrcli.cli.app import command_line
from asrcli.errors import UsageError
from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.realtime import KEY, RealtimeEmulator
from tests.emulators.realtime.toy import hear, speak
from tests.program import run
from tests.recordings import recording

NUMBER = recording("number")
SPEECH = NUMBER.path.read_bytes()[44:]
SAID = "one two three"
TONES = speak(SAID)
OWN = ("-p", "openai", "-m", "own")
PROMPT, WORD = "About Zanzibar.", "Quagga"
LIST = f"vocab-asrcli-{'0' * 32}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of service: how it is named, and those options that not all have and it takes."""

    named: tuple[str, ...]
    takes: tuple[str, ...]
    dialect: str | None = None
    """Of the live server; None for clips and for the embedded engine."""
    told: tuple[str, ...] = ()
    """What of the options can be read in what was sent."""


HOTWORD, ABOUT, ENGLISH = ("--hotword", WORD), ("--prompt", PROMPT), ("-l", "en")
KINDS = {
    "fun-asr-realtime": Kind(("-m", "fun-asr-realtime"), (*ENGLISH, *HOTWORD), "openai", ('"en"',)),
    "qwen3-asr-flash-realtime": Kind(
        ("-m", "qwen3-asr-flash-realtime"),
        (*ENGLISH, *ABOUT, *HOTWORD, "--emotion"),
        "openai",
        ('"en"', PROMPT, WORD),
    ),
    "qwen3.5-omni-flash-realtime": Kind(
        ("-m", "qwen3.5-omni-flash-realtime"),
        (*ENGLISH, *ABOUT, *HOTWORD, "--emotion"),
        "openai",
        ("English", PROMPT, WORD, "emotion"),
    ),
    "openai": Kind(
        (*OWN, "--dialect", "openai"),
        (*ENGLISH, *ABOUT, *HOTWORD),
        "openai",
        ('"en"', PROMPT, WORD),
    ),
    "openai by its name": Kind(
        ("-p", "openai", "-m", "Own-Realtime"),
        (*ENGLISH, *ABOUT, *HOTWORD),
        "openai",
        ('"en"', PROMPT, WORD, "Own-Realtime"),
    ),
    "speaches": Kind(
        (*OWN, "--dialect", "speaches"), (*ENGLISH, *ABOUT), "speaches", ('"en"', PROMPT)
    ),
    "vllm": Kind((*OWN, "--dialect", "vllm"), (), "vllm"),
    "vllm by itself": Kind((*OWN, "--dialect", "auto"), (), "vllm"),
    "onemin": Kind(("-p", "onemin"), (*ENGLISH, "--rpm", "600")),
    "qwen3-asr-flash": Kind(
        ("-m", "qwen3-asr-flash"), (*ENGLISH, *ABOUT, "--emotion", "--rpm", "600")
    ),
    "fun-asr": Kind(("-m", "fun-asr"), (*ENGLISH, *HOTWORD, "--rpm", "600")),
    "local": Kind(("-p", "local"), (*ENGLISH, "--offline")),
}
SHOWN = (
    "--no-partials", "-f", "jsonl", "--overwrite", "--seconds", "30", "--rate", "16000",
    "--channels", "1", "--input", "-", "--insecure-http", "--timeout", "60", "--retries", "2",
    "--progress", "json", "--color", "never", "--verbose", "--debug", "--cache",
)  # fmt: skip
"""What every kind takes; files come on top."""
ELSEWHERE = {
    "--help", "--region", "--base-url", "--ca-bundle", "--quiet",
    "--hotwords", "--device", "--list-devices", "--refine",
}  # fmt: skip
"""Tested in other files, with what they need; what of them is refused is below."""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[RealtimeEmulator]:
    kind = KINDS[request.node.callspec.params["name"]]
    with RealtimeEmulator(listen=hear, dialect=kind.dialect or "openai") as service:
        yield service


@pytest.mark.parametrize("name", KINDS)
def test_what_is_offered_works_all_at_once(
    name: str,
    server: RealtimeEmulator,
    qwen: Served[DashScope],
    onemin: Served[OneMin],
    tmp_path: Path,
) -> None:
    kind, target, saved = KINDS[name], tmp_path / "talk.jsonl", tmp_path / "talk.wav"
    target.write_text("old")
    saved.write_text("old")
    files = ("-o", str(target), "--save", str(saved), "--state", str(tmp_path / "state.db"))
    env = qwen.env | onemin.env
    env |= {"DASHSCOPE_WEBSOCKET_BASE_URL": server.base_url}
    env |= {"OPENAI_BASE_URL": server.openai_url, "OPENAI_API_KEY": KEY}
    if kind.dialect and kind.named[0] == "-m":
        env["DASHSCOPE_API_KEY"] = server.key
    sound = TONES if kind.dialect else SPEECH

    ran = run("stream-mic", *kind.named, *kind.takes, *SHOWN, *files, env=env, stdin=sound)

    assert ran.status == 0, ran.err
    assert "Traceback" not in ran.err
    *_, last = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    jsonschema.validate(last, schema())
    expected = SAID if kind.dialect else NUMBER.heard if name == "local" else NUMBER.text
    assert last["text"] == expected
    with wave.open(str(saved)) as wav:
        assert wav.getnframes() * 2 >= len(sound)
    assert json.loads(ran.err.splitlines()[-1])["type"] == "summary"
    assert server.violations == []
    assert bool(server.accepted) is bool(kind.dialect)
    said = json.dumps([book.messages for book in server.connections], default=str)
    for word in kind.told:
        assert word in said.replace('\\"', '"')


# --- refused ------------------------------------------------------------------------------------

LIVE = ("fun-asr-realtime", "qwen3-asr-flash-realtime", "qwen3.5-omni-flash-realtime")
SERVERS = ("openai", "openai by its name", "speaches")
CLIPS = ("onemin", "qwen3-asr-flash", "fun-asr")
ASR = "qwen3-asr-flash-realtime can"
OTHERS = "Servers of the other dialects can"
REFUSED: list[tuple[tuple[str, ...], tuple[str, ...], str]] = [
    (("--dialect", "vllm"), (*LIVE, *CLIPS, "local"), "Add -p openai"),
    (("--dialect", "x"), ("openai",), "auto, openai, openai-beta, speaches, vllm"),
    (("--rpm", "60"), (*LIVE, *SERVERS, "vllm", "local"), "--refine"),
    (("--offline",), (*LIVE, *SERVERS, "vllm", *CLIPS), "-p local"),
    (("--region", "cn"), (*SERVERS, "vllm", "onemin", "local"), "--region"),
    (("--base-url", "https://a.test"), ("local",), "no base URL"),
    (("--emotion",), ("fun-asr-realtime", *SERVERS, "vllm"), ASR),
    (("--emotion",), ("local",), "qwen3-asr-flash-realtime"),
    (("--emotion",), ("onemin", "fun-asr"), "qwen3-asr-flash"),
    (ABOUT, ("fun-asr-realtime", "local"), ASR.removesuffix(" can")),
    (ABOUT, ("onemin", "fun-asr"), "qwen3-asr-flash"),
    (ABOUT, ("vllm",), OTHERS),
    (HOTWORD, ("vllm",), OTHERS),
    (HOTWORD, ("onemin",), "fun-asr"),
    (HOTWORD, ("local",), "fun-asr-realtime"),
    (("--hotwords", LIST), LIVE[1:] + SERVERS, "fun-asr-realtime"),
    (("--hotwords", LIST), ("onemin", "qwen3-asr-flash"), "fun-asr"),
    (("--hotwords", LIST), ("local",), "fun-asr-realtime"),
    (ENGLISH, ("vllm",), OTHERS),
    (("-l", "de"), ("local",), "fun-asr-realtime"),
    (("-f", "vtt"), (*LIVE, *SERVERS, "vllm", *CLIPS, "local"), "--save"),
]


@pytest.mark.parametrize(
    ("option", "name", "hint"),
    [(option, name, hint) for option, names, hint in REFUSED for name in names],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_is_not_offered_is_refused_with_what_can_do_it(
    option: tuple[str, ...],
    name: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    server: RealtimeEmulator,
) -> None:
    for variable, value in {
        "DASHSCOPE_API_KEY": "sk-none",
        "DASHSCOPE_WEBSOCKET_BASE_URL": server.base_url,
        "DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:9/api/v1",
        "ONEMIN_API_KEY": "none",
        "ONEMIN_BASE_URL": "http://127.0.0.1:9",
        "OPENAI_BASE_URL": server.openai_url,
        "OPENAI_API_KEY": KEY,
    }.items():
        monkeypatch.setenv(variable, value)
    words = ["stream-mic", "--input", "-", *KINDS[name].named, *option]

    with pytest.raises(UsageError) as caught:
        command_line(words).main(words, standalone_mode=False)

    assert hint in f"{caught.value} {caught.value.hint}"
    assert all(book.audio == b"" for book in server.connections)


def test_no_option_is_forgotten() -> None:
    shown = {name for option in options() for name in option.opts if name.startswith("--")}
    short = {name: option.opts[0] for option in options() for name in option.opts}
    tried = {*SHOWN, "-o", "--save", "--state"}
    for kind in KINDS.values():
        tried |= {*kind.named, *kind.takes}
    tried = {short.get(word.replace("--no-", "--"), word) for word in tried}

    assert shown - {name for name in tried if name.startswith("--")} == ELSEWHERE


def options() -> list[Any]:
    command = command_line(["stream-mic"]).commands["stream-mic"]
    return [option for option in command.params if option.opts[0] != "--help"] + [_Help]


class _Help:
    opts = ("--help",)
