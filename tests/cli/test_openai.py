"""The installed program in front of a server of one's own that answers as OpenAI's does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.openai import KEY, OpenAI
from tests.emulators.server import serve
from tests.program import run
from tests.recordings import recording

WELCOME = recording("welcome")


@pytest.fixture
def openai() -> Iterator[Served[OpenAI]]:
    service = OpenAI()
    with serve(service) as server:
        env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
        yield Served(service, server, env)


def test_a_server_that_was_named_gives_the_words(openai: Served[OpenAI], welcome: Path) -> None:
    ran = run("transcribe", welcome, env=openai.env)

    assert (ran.status, ran.out, ran.err) == (0, WELCOME.text + "\n", "")
    assert openai.service.fields()["model"] == ["whisper-1"]


def test_a_model_of_ones_own_server_is_asked_for(openai: Served[OpenAI], welcome: Path) -> None:
    openai.service.models = {"Systran/faster-whisper-small"}

    ran = run(
        "transcribe", "-p", "openai", "-m", "Systran/faster-whisper-small", "-l", "English",
        welcome, env=openai.env,
    )  # fmt: skip

    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")
    assert openai.service.fields()["language"] == ["en"]


def test_subtitles_have_the_times_of_the_server(openai: Served[OpenAI], welcome: Path) -> None:
    ran = run("transcribe", "-f", "srt", welcome, env=openai.env)

    assert ran.status == 0, ran.err
    lines = ran.out.splitlines()
    first, last = WELCOME.words[0].start, WELCOME.words[-1].end
    assert lines[1].startswith(f"00:00:{first:06.3f}".replace(".", ","))
    ends = [line.rpartition(" --> ")[2] for line in lines if " --> " in line]
    assert ends[-1] == f"00:00:{last:06.3f}".replace(".", ",")


def test_words_come_with_their_times(openai: Served[OpenAI], welcome: Path) -> None:
    ran = run("transcribe", "--words", "-f", "json", welcome, env=openai.env)

    segments = json.loads(ran.out)["segments"]
    found = [(word["start"], word["end"]) for segment in segments for word in segment["words"]]
    assert found == [(word.start, word.end) for word in WELCOME.words]
    assert {segment["timing"] for segment in segments} == {"model"}


def test_without_a_host_it_is_refused_and_the_variable_is_named(welcome: Path) -> None:
    ran = run("transcribe", "-p", "openai", welcome, env={"OPENAI_API_KEY": KEY})

    assert (ran.status, ran.out) == (2, "")
    assert "OPENAI_BASE_URL" in ran.err


def test_the_host_can_be_given_with_the_command(openai: Served[OpenAI], welcome: Path) -> None:
    for path in ("", "/v1"):
        ran = run(
            "transcribe", "-p", "openai", "--base-url", openai.server.url + path, welcome,
            env={"OPENAI_API_KEY": KEY},
        )  # fmt: skip

        assert (ran.status, ran.out, ran.err) == (0, WELCOME.text + "\n", "")


@pytest.mark.parametrize("key", [None, "", " "])
def test_a_server_without_keys_needs_none(
    openai: Served[OpenAI], welcome: Path, key: str | None
) -> None:
    openai.service.needs_key = False
    env = {"OPENAI_BASE_URL": openai.server.url}
    if key is not None:
        env["OPENAI_API_KEY"] = key

    ran = run("transcribe", welcome, env=env)

    assert (ran.status, ran.out, ran.err) == (0, WELCOME.text + "\n", "")
    assert "authorization" not in openai.service.requests[0].headers


def test_a_wrong_key_ends_with_4_and_is_not_shown(openai: Served[OpenAI], welcome: Path) -> None:
    wrong = "sk-wrong-canary-3"

    ran = run("transcribe", welcome, env=openai.env | {"OPENAI_API_KEY": wrong})

    assert (ran.status, ran.out) == (4, "")
    assert "OPENAI_API_KEY" in ran.err
    assert wrong not in ran.err


def test_a_missing_key_ends_with_4_and_leads_to_one(openai: Served[OpenAI], welcome: Path) -> None:
    ran = run("transcribe", welcome, env={"OPENAI_BASE_URL": openai.server.url})

    assert (ran.status, ran.out) == (4, "")
    assert "OPENAI_API_KEY" in ran.err


def test_a_stray_key_alone_sends_nothing_anywhere(welcome: Path) -> None:
    # A proxy would see whatever left the machine.
    service = OpenAI()
    with serve(service) as server:
        env = {"OPENAI_API_KEY": KEY, "HTTPS_PROXY": server.url, "HTTP_PROXY": server.url}
        ran = run("transcribe", welcome, env=env)

        assert server.connections_opened == 0
    assert (ran.status, ran.out) == (0, WELCOME.heard + "\n")


def test_a_host_with_another_service_ready_is_asked_only_by_its_name(
    openai: Served[OpenAI], qwen: Served[DashScope], welcome: Path
) -> None:
    both = openai.env | qwen.env

    run("transcribe", welcome, env=both)
    assert (len(qwen.service.requests), openai.service.requests) == (1, [])

    run("transcribe", "-p", "openai", welcome, env=both)
    assert (len(qwen.service.requests), len(openai.service.requests)) == (1, 1)


def test_an_unknown_model_ends_with_2_and_names_it(openai: Served[OpenAI], welcome: Path) -> None:
    ran = run("transcribe", "-p", "openai", "-m", "large", welcome, env=openai.env)

    assert ran.status == 2
    assert "`large` does not exist" in ran.err
    assert "-m" in ran.err


def test_subtitles_from_a_server_without_times_are_no_invention(
    openai: Served[OpenAI], welcome: Path, tmp_path: Path
) -> None:
    openai.service.always_plain = True

    ran = run("transcribe", "-o", tmp_path / "welcome.srt", welcome, env=openai.env)

    assert ran.status == 2
    assert "needs times" in ran.err
    assert not (tmp_path / "welcome.srt").exists()
