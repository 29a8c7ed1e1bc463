"""`asrcli stream-mic`, from a pipe and from a real microphone, as a user runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.realtime import Abort, At, Close, HalfOpen, RealtimeEmulator
from tests.media.sound_server import NEEDED, SoundServer, sound_server
from tests.output.screens import Screen
from tests.program import COMMAND, Ran, environment, run
from tests.recordings import recording

NUMBER = recording("number")
WAV = NUMBER.path.read_bytes()
PCM = WAV[44:]
VALIDATOR = jsonschema.Draft202012Validator(schema())
PIPE = ("stream-mic", "--input", "-")


@pytest.fixture
def live() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator() as service:
        yield service


def env_of(service: RealtimeEmulator) -> dict[str, str]:
    return {"DASHSCOPE_API_KEY": service.key, "DASHSCOPE_WEBSOCKET_BASE_URL": service.base_url}


def hear(service: RealtimeEmulator, *arguments: str | Path, stdin: bytes = PCM) -> Ran:
    return run(*PIPE, *arguments, env=env_of(service), stdin=stdin)


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def only_finals(out: str) -> list[str]:
    return [record["text"] for record in records(out) if record["type"] == "final"]


class Process:
    """The program while it runs."""

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=False,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def say(self, sound: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(sound)
        self.process.stdin.flush()

    def read_out(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line, "it ended"
        return line

    def read_err(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().decode()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; the status, and what it said since."""
        self.process.wait(timeout=30)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ((), "qwen3-asr-flash-realtime"),
        (("-l", "en"), "fun-asr-realtime"),
        (("--prompt", "A message."), "qwen3.5-omni-flash-realtime"),
        (("-m", "qwen3-omni-flash-realtime"), "qwen3-omni-flash-realtime"),
    ],
)
def test_pcm_on_a_pipe_becomes_a_line_for_each_final(
    live: RealtimeEmulator, arguments: tuple[str, ...], model: str
) -> None:
    ran = hear(live, "-v", *arguments)

    assert (ran.status, ran.out) == (0, NUMBER.text + "\n")
    assert f"asrcli: {model} at qwen" in ran.err
    assert live.violations == []


def test_a_wav_stream_says_its_own_rate(live: RealtimeEmulator) -> None:
    ran = hear(live, stdin=WAV)

    assert (ran.status, ran.out, ran.err) == (0, NUMBER.text + "\n", "")


def test_rate_and_channels_of_raw_pcm_are_those_that_are_given(live: RealtimeEmulator) -> None:
    doubled = b"".join(2 * PCM[at : at + 2] for at in range(0, len(PCM), 2))

    ran = hear(live, "--rate", "16000", "--channels", "2", stdin=doubled)

    assert (ran.status, ran.out) == (0, NUMBER.text + "\n")


def test_jsonl_has_partials_and_finals_of_the_schema(live: RealtimeEmulator) -> None:
    ran = hear(live, "-f", "jsonl")

    found = records(ran.out)
    for record in found:
        VALIDATOR.validate(record)
    assert {record["type"] for record in found[:-1]} == {"partial"}
    assert found[-1] | {"words": []} == {
        "v": 1, "type": "final", "index": 0, "text": NUMBER.text, "start": 0.27, "end": 1.89,
        "timing": "vad", "speaker": None, "channel": None, "language": "en", "emotion": "neutral",
        "confidence": None, "words": [], "complete": True,
    }  # fmt: skip


def test_no_partials_leaves_finals_alone(live: RealtimeEmulator) -> None:
    ran = hear(live, "-f", "jsonl", "--no-partials")

    assert [record["type"] for record in records(ran.out)] == ["final"]


def test_srt_comes_at_the_end(live: RealtimeEmulator) -> None:
    ran = hear(live, "-f", "srt")

    assert ran.out == f"1\n00:00:00,270 --> 00:00:01,890\n{NUMBER.text}\n"


def test_seconds_end_it_without_the_end_of_the_pipe(live: RealtimeEmulator) -> None:
    arguments = (*PIPE, "--seconds", "1.5", "--no-partials", "-f", "jsonl")
    with Process(*arguments, env=environment(**env_of(live))) as program:
        program.say(PCM)
        status, _, _ = program.end()

    assert status == 0
    assert live.connections[0].seconds == pytest.approx(1.5, abs=0.01)


def test_an_empty_pipe_is_no_sound(live: RealtimeEmulator) -> None:
    ran = hear(live, stdin=b"")

    assert (ran.status, ran.out) == (7, "")


def test_the_embedded_engine_hears_without_any_key() -> None:
    ran = run(*PIPE, stdin=PCM)

    assert (ran.status, ran.out) == (0, NUMBER.heard + "\n")
    assert "no key is configured" in ran.err


def test_the_embedded_engine_tells_what_it_heard_so_far() -> None:
    spoken = recording("bridge").path.read_bytes()

    ran = run(*PIPE, "-p", "local", "-l", "en", "-f", "jsonl", stdin=spoken)

    first, *_, last = records(ran.out)
    assert first["type"] == "partial"
    assert last["text"].startswith(first["text"].split()[0])
    assert " ".join(only_finals(ran.out)) == recording("bridge").heard


def test_onemin_is_given_short_clips(onemin: Served[OneMin]) -> None:
    ran = run(*PIPE, env=onemin.env, stdin=PCM)

    assert (ran.status, ran.out) == (0, NUMBER.text + "\n")
    assert "takes recordings" in ran.err


def test_a_model_for_recordings_is_given_short_clips(qwen: Served[DashScope]) -> None:
    ran = run(*PIPE, "-m", "qwen3-asr-flash", "-f", "jsonl", env=qwen.env, stdin=PCM)

    (record,) = records(ran.out)
    assert (record["type"], record["text"], record["timing"]) == ("final", NUMBER.text, "vad")


# --- on a terminal ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminals")
def test_on_a_terminal_finals_scroll_with_their_time_and_no_partial_is_left(
    live: RealtimeEmulator,
) -> None:
    pexpect = pytest.importorskip("pexpect")
    program = pexpect.spawn(
        "/bin/sh",
        ["-c", f'{COMMAND[0]} stream-mic --input - < "$0"', str(NUMBER.path)],
        env=environment(**env_of(live), TERM="xterm"),
        dimensions=(24, 70),
        timeout=30,
    )
    program.expect(pexpect.EOF)
    shown = program.before.decode()
    program.close()

    assert "Please leave your\r\n" in shown  # a partial, above the status line
    assert "qwen: listening" in shown
    assert Screen(70).feed(shown.replace("\r\n", "\n")).lines == [
        f"[00:00] (neutral): {NUMBER.text}"
    ]


# --- files ------------------------------------------------------------------------------------


def test_what_is_heard_is_saved_as_it_was(live: RealtimeEmulator, tmp_path: Path) -> None:
    ran = hear(live, "--save", tmp_path / "heard.wav")

    assert ran.status == 0
    with wave.open(str(tmp_path / "heard.wav")) as saved:
        assert saved.getparams()[:3] == (1, 2, 16_000)
        assert saved.readframes(saved.getnframes()) == PCM


def test_a_file_gets_the_text_and_stdout_nothing(live: RealtimeEmulator, tmp_path: Path) -> None:
    ran = hear(live, "-o", tmp_path / "talk.srt")

    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / "talk.srt").read_text("utf-8").endswith(f"{NUMBER.text}\n")


@pytest.mark.parametrize(("option", "name"), [("-o", "talk.txt"), ("--save", "talk.wav")])
def test_what_is_there_is_left_alone(
    live: RealtimeEmulator, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / name).write_text("mine")

    ran = hear(live, option, tmp_path / name)

    assert ran.status == 8
    assert (tmp_path / name).read_text() == "mine"
    assert live.connections == []


def test_refine_gives_the_result_of_a_model_for_recordings(
    live: RealtimeEmulator, qwen: Served[DashScope], tmp_path: Path
) -> None:
    target = tmp_path / "talk.jsonl"

    ran = run(*PIPE, "--refine", "-o", target, env=env_of(live) | qwen.env, stdin=PCM)

    # One key opens both services.
    assert ran.status == 0, ran.err
    (record,) = records(target.read_text("utf-8"))
    assert (record["type"], record["model"]) == ("result", "qwen3-asr-flash")
    assert record["text"] == NUMBER.text


def test_where_refining_fails_the_live_text_is_kept(live: RealtimeEmulator, tmp_path: Path) -> None:
    target = tmp_path / "talk.txt"
    env = env_of(live) | {"DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:9/api/v1"}

    ran = run(*PIPE, "--refine", "--retries", "0", "-o", target, env=env, stdin=PCM)

    assert ran.status == 6
    assert target.read_text("utf-8") == f"{NUMBER.text}\n"
    assert "the live text is kept" in ran.err


# --- connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Abort(), Close(1000)])
def test_a_lost_connection_loses_no_word(live: RealtimeEmulator, action: Any) -> None:
    live.scripts.append([At(1.0, action)])

    ran = hear(live)

    assert (ran.status, ran.out) == (0, NUMBER.text + "\n")
    assert len(live.accepted) == 2


def test_a_key_that_is_refused_ends_it_at_once(live: RealtimeEmulator) -> None:
    ran = run(*PIPE, env=env_of(live) | {"DASHSCOPE_API_KEY": "sk-wrong"}, stdin=PCM)

    assert (ran.status, ran.out) == (4, "")
    assert "the key from DASHSCOPE_API_KEY was refused" in ran.err
    assert len(live.connections) == 1


def test_nothing_is_saved_where_nothing_was_heard(tmp_path: Path) -> None:
    env = {"DASHSCOPE_API_KEY": "sk-x", "DASHSCOPE_WEBSOCKET_BASE_URL": "ws://127.0.0.1:9"}

    ran = run(*PIPE, "--save", tmp_path / "heard.wav", env=env, stdin=b"")

    assert ran.status != 0
    assert not (tmp_path / "heard.wav").exists()


def test_offline_opens_nothing(live: RealtimeEmulator) -> None:
    ran = hear(live, "--offline")

    assert (ran.status, live.connections) == (2, [])


# --- signals ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_the_first_interrupt_waits_for_the_last_words(live: RealtimeEmulator) -> None:
    with Process(*PIPE, "-f", "jsonl", env=environment(**env_of(live))) as program:
        program.say(PCM)
        program.read_out()
        program.interrupt()
        status, out, err = program.end()

    assert status == 0, err
    assert "Please" in only_finals(out)[-1]
    assert live.violations == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_an_interrupt_ends_a_pipe_on_which_nothing_comes(live: RealtimeEmulator) -> None:
    with Process(*PIPE, "-f", "jsonl", env=environment(**env_of(live))) as program:
        program.say(PCM + bytes(2 * 16_000))
        while json.loads(program.read_out())["type"] != "final":
            pass
        program.interrupt()
        status, _, err = program.end()

    assert status == 0, err


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_the_second_interrupt_stops_at_once_and_keeps_the_text(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    live.always.append(At(1.0, HalfOpen()))
    saved = tmp_path / "heard.wav"
    with Process(*PIPE, "--save", str(saved), env=environment(**env_of(live))) as program:
        program.say(PCM)
        live.wait_for(lambda: any(book.seconds >= 0.8 for book in live.connections))
        program.interrupt()
        assert "Ctrl-C again" in program.read_err()
        program.interrupt()
        status, _, _ = program.end()

    assert status == 130
    with wave.open(str(saved)) as kept:
        assert kept.getnframes() >= 12_800


# --- refused before anything is sent ----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-f", "vtt"), "live text is"),
        (("-m", "fun-asr"), "fun-asr-realtime takes live audio"),
        (("-m", "fun-asr-realtime", "--emotion"), "emotion"),
        (("--save", "heard.mp3"), "--save writes WAV"),
        (("--device", "1"), "--input - is none"),
        (("--base-url", "wss://example.com"), "Add -p NAME"),
    ],
)
def test_what_cannot_be_is_refused(
    live: RealtimeEmulator, arguments: tuple[str, ...], said: str
) -> None:
    ran = hear(live, *arguments)

    assert ran.status == 2
    assert said in ran.err
    assert live.connections == []


@pytest.mark.parametrize("arguments", [("--rate", "8000"), ("--input", "talk.wav")])
def test_options_of_a_pipe_need_the_pipe(arguments: tuple[str, ...]) -> None:
    assert run("stream-mic", *arguments).status == 2


# --- microphones ------------------------------------------------------------------------------

NO_DEVICES = """
class PortAudioError(Exception):
    pass
class default:
    device = (-1, -1)
def query_devices():
    return []
def query_hostapis():
    return []
"""


def with_sounddevice(folder: Path, source: str) -> dict[str, str]:
    (folder / "sounddevice.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("arguments", [(), ("--device", "studio")])
def test_a_microphone_that_is_not_there_is_12(
    live: RealtimeEmulator, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    env = env_of(live) | with_sounddevice(tmp_path, NO_DEVICES)

    ran = run("stream-mic", *arguments, env=env)

    assert (ran.status, ran.out) == (12, "")
    assert "there is no microphone" in ran.err
    assert live.connections == []


@pytest.mark.parametrize("arguments", [(), ("--list-devices",)])
def test_without_portaudio_it_is_13_with_how_to_get_it(
    live: RealtimeEmulator, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    lacking = "raise OSError('PortAudio library not found')"
    env = env_of(live) | with_sounddevice(tmp_path, lacking)

    ran = run("stream-mic", *arguments, env=env)

    assert (ran.status, ran.out) == (13, "")
    assert "PortAudio" in ran.err


@pytest.fixture
def server() -> Iterator[SoundServer]:
    if not sys.platform.startswith("linux") or not all(map(shutil.which, NEEDED)):
        pytest.skip("needs PulseAudio")
    with sound_server() as running:
        yield running


def test_a_real_microphone_is_heard_until_ctrl_c(
    live: RealtimeEmulator, server: SoundServer
) -> None:
    env = environment(**server.environment) | env_of(live)
    with Process("stream-mic", "-f", "jsonl", env=env) as program:
        live.wait_for(lambda: any(book.audio for book in live.connections))
        server.play(NUMBER.path)
        program.interrupt()
        status, out, err = program.end()

    assert status == 0, err
    assert only_finals(out) == [NUMBER.text]
    assert live.violations == []


def test_the_microphones_are_listed(server: SoundServer) -> None:
    ran = run("stream-mic", "--list-devices", env=environment(**server.environment))

    header, *rows = ran.out.splitlines()
    assert header.split("\t")[:3] == ["number", "name", "host API"]
    assert any("vmic_monitor" in row for row in rows)


def test_a_microphone_that_is_unplugged_is_12_and_its_words_are_kept(
    live: RealtimeEmulator, server: SoundServer
) -> None:
    env = environment(**server.environment) | env_of(live)
    with Process("stream-mic", env=env) as program:
        live.wait_for(lambda: any(book.audio for book in live.connections))
        server.play(NUMBER.path)
        server.unplug()
        status, out, err = program.end()

    assert status == 12, err
    assert out == f"{NUMBER.text}\n"
