"""`asrcli stream-mic`, from a pipe and from a real microphone, as a user runs it.

Recordings of speech are used where the words matter; elsewhere tones that are heard at once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asrcli.cli.app import command_line
from asrcli.errors import UsageError
from asrcli.output.records import schema
from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.realtime import Abort, At, Close, Fail, HalfOpen, RealtimeEmulator, Refuse
from tests.emulators.realtime.toy import hear as hear_tones
from tests.emulators.realtime.toy import silence, speak
from tests.media.sound_server import NEEDED, SoundServer, sound_server
from tests.output.screens import Screen
from tests.program import COMMAND, Ran, environment, run
from tests.recordings import recording

NUMBER = recording("number")
WAV = NUMBER.path.read_bytes()
PCM = WAV[44:]
VALIDATOR = jsonschema.Draft202012Validator(schema())
PIPE = ("stream-mic", "--input", "-")
SAID = "one two"
TONES = speak(SAID)
"""0.45 s."""


@pytest.fixture
def live() -> Iterator[RealtimeEmulator]:
    """It hears tones."""
    with RealtimeEmulator(listen=hear_tones, step=0.1) as service:
        yield service


@pytest.fixture
def listener() -> Iterator[RealtimeEmulator]:
    """It hears speech."""
    with RealtimeEmulator() as service:
        yield service


def env_of(service: RealtimeEmulator) -> dict[str, str]:
    return {"DASHSCOPE_API_KEY": service.key, "DASHSCOPE_WEBSOCKET_BASE_URL": service.base_url}


def hear(service: RealtimeEmulator, *arguments: str | Path, stdin: bytes = TONES) -> Ran:
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

    def end_of_input(self) -> tuple[int, str, str]:
        """Hang up on its side of the pipe; then as `end`."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; the status, and what it said since."""
        self.process.wait(timeout=30)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), err.decode()


def wait_until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Look again and again; for what another process does and does not tell."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ((), "qwen3-asr-flash-realtime"),
        (("-l", "en"), "fun-asr-realtime"),
        (("--prompt", "A message."), "qwen3.5-omni-flash-realtime"),
    ],
)
def test_pcm_on_a_pipe_becomes_a_line_for_each_final(
    listener: RealtimeEmulator, arguments: tuple[str, ...], model: str
) -> None:
    ran = hear(listener, "-v", *arguments, stdin=PCM)

    assert (ran.status, ran.out) == (0, NUMBER.text + "\n")
    assert f"asrcli: {model} at qwen" in ran.err
    assert listener.violations == []


def test_a_wav_stream_says_its_own_rate(live: RealtimeEmulator) -> None:
    header = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)

    ran = hear(live, stdin=header + b"data\xff\xff\xff\xff" + speak(SAID, rate=8_000))

    assert (ran.status, ran.err) == (0, "")
    assert live.connections[0].seconds == pytest.approx(0.45, abs=0.01)


def test_rate_and_channels_of_raw_pcm_are_those_that_are_given(live: RealtimeEmulator) -> None:
    doubled = b"".join(2 * TONES[at : at + 2] for at in range(0, len(TONES), 2))

    ran = hear(live, "--rate", "16000", "--channels", "2", stdin=doubled)

    assert (ran.status, ran.out) == (0, f"{SAID}\n")


def test_jsonl_has_partials_and_finals_of_the_schema(live: RealtimeEmulator) -> None:
    ran = hear(live, "-f", "jsonl")

    found = records(ran.out)
    for record in found:
        VALIDATOR.validate(record)
    assert {record["type"] for record in found[:-1]} == {"partial"}
    assert found[-1] | {"words": []} == {
        "v": 1, "type": "final", "index": 0, "text": SAID, "start": 0.0, "end": 0.45,
        "timing": "vad", "speaker": None, "channel": None, "language": "en", "emotion": "neutral",
        "confidence": None, "words": [], "complete": True,
    }  # fmt: skip


def test_srt_comes_at_the_end(live: RealtimeEmulator) -> None:
    ran = hear(live, "-f", "srt")

    assert ran.out == f"1\n00:00:00,000 --> 00:00:00,450\n{SAID}\n"


def test_seconds_end_it_and_no_partials_leave_finals_alone(live: RealtimeEmulator) -> None:
    arguments = (*PIPE, "--seconds", "0.3", "--no-partials", "-f", "jsonl")
    with Process(*arguments, env=environment(**env_of(live))) as program:
        program.say(TONES)
        status, out, _ = program.end()

    assert status == 0
    assert [record["type"] for record in records(out)] == ["final"]
    assert live.connections[0].seconds == pytest.approx(0.3, abs=0.01)


def test_an_empty_pipe_is_no_sound(live: RealtimeEmulator) -> None:
    ran = hear(live, stdin=b"")

    assert (ran.status, ran.out) == (7, "")


def test_the_embedded_engine_hears_without_any_key_and_tells_what_it_heard_so_far() -> None:
    spoken = recording("bridge").path.read_bytes()

    ran = run(*PIPE, "-f", "jsonl", stdin=spoken)

    first, *_, last = records(ran.out)
    assert first["type"] == "partial"
    assert last["text"].startswith(first["text"].split()[0])
    assert " ".join(only_finals(ran.out)) == recording("bridge").heard
    assert "no key is configured" in ran.err


# --- on a terminal ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such terminals")
def test_t10_on_a_terminal_finals_scroll_and_partials_longer_than_it_leave_no_debris(
    tmp_path: Path,
) -> None:
    pexpect = pytest.importorskip("pexpect")
    said = "one two three four five six seven"
    (tmp_path / "tones").write_bytes(speak(said))

    def hear_wide(samples: bytes, rate: int) -> Any:
        heard = hear_tones(samples, rate)
        words = [replace(word, text=f"早上好e\u0301{word.text}") for word in heard.words]
        return replace(heard, words=tuple(words))

    with RealtimeEmulator(listen=hear_wide, step=0.1) as wide:
        program = pexpect.spawn(
            "/bin/sh",
            ["-c", f"{COMMAND[0]} stream-mic --input - < tones"],
            env=environment(**env_of(wide), TERM="xterm"),
            cwd=str(tmp_path),
            dimensions=(24, 30),
            timeout=30,
        )
        program.expect(pexpect.EOF)
        shown = program.before.decode()
        program.close()

    assert "早上好e\u0301one\r\n" in shown  # a partial, above the status line
    assert "…" in shown  # of the longest ones the end is shown
    assert "qwen: list" in shown
    final = " ".join(f"早上好e\u0301{word}" for word in said.split())
    screen = Screen(30).feed(shown.replace("\r\n", "\n"))
    assert "".join(screen.lines).replace(" ", "") == f"[00:00](neutral):{final}".replace(" ", "")
    assert screen.cursor_shown


# --- files ------------------------------------------------------------------------------------


def test_a_file_gets_the_text_another_the_sound_and_stdout_nothing(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    ran = hear(live, "-o", tmp_path / "talk.srt", "--save", tmp_path / "heard.wav")

    assert (ran.status, ran.out) == (0, "")
    assert (tmp_path / "talk.srt").read_text("utf-8").endswith(f"{SAID}\n")
    with wave.open(str(tmp_path / "heard.wav")) as saved:
        assert saved.getparams()[:3] == (1, 2, 16_000)
        assert saved.readframes(saved.getnframes()) == TONES


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
    env = env_of(live) | qwen.env

    ran = run(*PIPE, "--refine", "--rpm", "600", "-o", target, env=env, stdin=PCM)

    # One key opens both services.
    assert ran.status == 0, ran.err
    (record,) = records(target.read_text("utf-8"))
    assert (record["type"], record["model"]) == ("result", "qwen3-asr-flash")
    assert record["text"] == NUMBER.text


def test_where_refining_fails_the_live_text_is_kept(live: RealtimeEmulator, tmp_path: Path) -> None:
    target = tmp_path / "talk.txt"
    env = env_of(live) | {"DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:9/api/v1"}

    ran = run(*PIPE, "--refine", "--retries", "0", "-o", target, env=env, stdin=TONES)

    assert ran.status == 6
    assert target.read_text("utf-8") == f"{SAID}\n"
    assert "the live text is kept" in ran.err


# --- connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [Abort(), Close(1000)])
def test_w05_w06_a_lost_connection_loses_no_word(live: RealtimeEmulator, action: Any) -> None:
    live.scripts.append([At(0.3, action)])

    ran = hear(live)

    assert (ran.status, ran.out) == (0, f"{SAID}\n")
    assert len(live.accepted) == 2


def test_w01_a_key_that_is_refused_ends_it_at_once(live: RealtimeEmulator) -> None:
    ran = run(*PIPE, env=env_of(live) | {"DASHSCOPE_API_KEY": "sk-wrong"}, stdin=TONES)

    assert (ran.status, ran.out) == (4, "")
    assert "the key from DASHSCOPE_API_KEY was refused" in ran.err
    assert len(live.connections) == 1


@pytest.mark.parametrize(("refusal", "code"), [(429, 5), (503, 6)])
def test_w02_a_handshake_that_is_put_off_is_tried_as_often_as_is_said(
    live: RealtimeEmulator, refusal: int, code: int
) -> None:
    live.always.append(Refuse(refusal, {"message": "later"}, {"Retry-After": "0"}))

    ran = hear(live, "--retries", "1")

    assert (ran.status, ran.out) == (code, "")
    assert len(live.connections) == 2


def test_w03_a_redirect_of_the_handshake_is_refused(live: RealtimeEmulator) -> None:
    with RealtimeEmulator() as other:
        live.always.append(Refuse(302, headers={"Location": other.base_url}))

        ran = hear(live)

        assert other.connections == []
    assert (ran.status, ran.out, len(live.connections)) == (9, "", 1)


def test_w04_an_error_of_the_service_is_shown_and_the_text_kept(live: RealtimeEmulator) -> None:
    live.scripts.append([At(1.3, Fail("Arrearage", "no money left"))])

    ran = hear(live, "-l", "en", stdin=TONES + silence(1.0) + TONES)

    assert ran.status == 5
    assert ran.out.splitlines()[0] == SAID
    assert "no money left" in ran.err


def test_w06_a_service_that_always_closes_with_1000_is_9(live: RealtimeEmulator) -> None:
    live.always.append(At(0.1, Close(1000, "bye")))

    ran = hear(live, "--retries", "1")

    assert (ran.status, len(live.accepted)) == (9, 2)
    assert "no text from 0.0 s to" in ran.err
    assert "close code 1000" in ran.err


def test_w15_half_a_sample_at_the_end_is_left_out_with_a_warning(live: RealtimeEmulator) -> None:
    ran = hear(live, stdin=TONES + b"\x01")

    assert (ran.status, ran.out) == (0, f"{SAID}\n")
    assert "asrcli: warning: the sound ended in the middle of a sample" in ran.err
    assert live.connections[0].audio == TONES


def test_nothing_is_saved_where_nothing_was_heard(tmp_path: Path) -> None:
    env = {"DASHSCOPE_API_KEY": "sk-x", "DASHSCOPE_WEBSOCKET_BASE_URL": "ws://127.0.0.1:9"}

    ran = run(*PIPE, "--retries", "0", "--save", tmp_path / "heard.wav", env=env, stdin=b"")

    assert ran.status != 0
    assert not (tmp_path / "heard.wav").exists()


# --- signals ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_g08_the_first_interrupt_waits_for_the_last_words(live: RealtimeEmulator) -> None:
    with Process(*PIPE, "-f", "jsonl", env=environment(**env_of(live))) as program:
        program.say(TONES)
        program.read_out()
        program.interrupt()
        status, out, err = program.end()

    assert status == 0, err
    assert only_finals(out)[-1].startswith("one")
    assert live.violations == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_g08_an_interrupt_ends_a_pipe_on_which_nothing_comes(live: RealtimeEmulator) -> None:
    with Process(*PIPE, "-f", "jsonl", env=environment(**env_of(live))) as program:
        program.say(TONES + silence(1.0))
        while json.loads(program.read_out())["type"] != "final":
            pass
        program.interrupt()
        status, _, err = program.end()

    assert status == 0, err


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_g08_the_second_interrupt_stops_at_once_and_keeps_the_text(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    live.always.append(At(0.3, HalfOpen()))
    saved = tmp_path / "heard.wav"
    with Process(*PIPE, "--save", str(saved), env=environment(**env_of(live))) as program:
        program.say(TONES)
        live.wait_for(lambda: any(book.seconds >= 0.2 for book in live.connections))
        program.interrupt()
        assert "Ctrl-C again" in program.read_err()
        program.interrupt()
        status, _, _ = program.end()

    assert status == 130
    with wave.open(str(saved)) as kept:
        assert kept.getnframes() >= 3_200


@pytest.mark.skipif(sys.platform == "win32", reason="has no such shells")
def test_g09_a_shell_that_dies_leaves_a_stream_that_ends_cleanly(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    (tmp_path / "tones").write_bytes(TONES)
    target = tmp_path / "talk.txt"
    # The pipe's writer is the shell itself: when it is killed, its end of the pipe goes with it.
    shell = f"{COMMAND[0]} {' '.join(PIPE)} -o {target} < pipe & exec 3> pipe; cat tones >&3; cat"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(
        ["/bin/sh", "-c", shell],
        env=environment(**env_of(live)),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        live.wait_for(lambda: any(book.seconds >= 0.3 for book in live.connections))
        parent.kill()

    live.wait_for(lambda: any(book.closed for book in live.connections))
    assert live.connections[0].closed == (1000, "")
    wait_until(target.exists)
    assert target.read_text("utf-8") == f"{SAID}\n"
    assert live.violations == []


def test_g09_the_end_of_the_pipe_ends_it_with_the_last_words(live: RealtimeEmulator) -> None:
    with Process(*PIPE, env=environment(**env_of(live))) as program:
        program.say(TONES)
        live.wait_for(lambda: any(book.seconds >= 0.3 for book in live.connections))
        status, out, err = program.end_of_input()

    assert (status, out, err) == (0, f"{SAID}\n", "")
    live.wait_for(lambda: live.connections[0].closed is not None)
    assert live.connections[0].closed == (1000, "")


# --- refused before anything is sent ----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--input", "-", "--save", "heard.mp3"), "--save writes WAV"),
        (("--input", "-", "--save", "a.wav", "-f", "text", "-o", "a.wav"), "are the same file"),
        (("--input", "-", "--device", "1"), "--input - is none"),
        (("--input", "-", "--base-url", "wss://example.com"), "Add -p NAME"),
        (("--input", "talk.wav"), "asrcli transcribe"),
        (("--rate", "8000"), "go with --input -"),
        (("--channels", "2"), "go with --input -"),
    ],
)
def test_what_cannot_be_is_refused(
    live: RealtimeEmulator,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    for name, value in env_of(live).items():
        monkeypatch.setenv(name, value)
    words = ["stream-mic", *arguments]

    with pytest.raises(UsageError) as caught:
        command_line(words).main(words, standalone_mode=False)

    assert said in f"{caught.value} {caught.value.hint}"
    assert live.connections == []


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
def test_w17_a_microphone_that_is_not_there_is_12(
    live: RealtimeEmulator, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    env = env_of(live) | with_sounddevice(tmp_path, NO_DEVICES)

    ran = run("stream-mic", *arguments, env=env)

    assert (ran.status, ran.out) == (12, "")
    assert "there is no microphone" in ran.err
    assert live.connections == []


@pytest.mark.parametrize("arguments", [(), ("--list-devices",)])
def test_w18_without_portaudio_it_is_13_with_how_to_get_it(
    live: RealtimeEmulator, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    lacking = "raise OSError('PortAudio library not found')"
    env = env_of(live) | with_sounddevice(tmp_path, lacking)

    ran = run("stream-mic", *arguments, env=env)

    assert (ran.status, ran.out) == (13, "")
    assert "PortAudio" in ran.err


@pytest.mark.parametrize("arguments", [("--help",), ("stream-mic", "--help"), ("--version",)])
def test_w18_without_portaudio_all_else_works(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    env = with_sounddevice(tmp_path, "raise OSError('PortAudio library not found')")

    ran = run(*arguments, env=env)

    assert (ran.status, ran.err) == (0, "")


def test_w18_without_portaudio_a_pipe_and_a_file_are_heard(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    env = with_sounddevice(tmp_path, "raise OSError('PortAudio library not found')")

    piped = run(*PIPE, env=env_of(live) | env, stdin=TONES)
    filed = run("transcribe", "-p", "local", NUMBER.path, env=env)

    assert (piped.status, piped.out) == (0, f"{SAID}\n")
    assert (filed.status, filed.out) == (0, f"{NUMBER.heard}\n")


BUSY = """
class PortAudioError(Exception):
    pass
class default:
    device = (0, 0)
def query_devices(*_):
    return [{"name": name, "hostapi": 0, "max_input_channels": 1, "max_output_channels": 0,
             "default_samplerate": 16000.0, "default_low_input_latency": 0.01,
             "default_high_input_latency": 0.1} for name in ("Built-in", "Studio")]
def query_hostapis(*_):
    return [{"name": "Fake", "default_input_device": 0, "devices": [0, 1]}]
def check_input_settings(**_):
    pass
class RawInputStream:
    def __init__(self, **_):
        raise PortAudioError("Device unavailable", -9985)
InputStream = RawInputStream
"""


def test_w17_a_busy_microphone_is_12_with_the_others(
    live: RealtimeEmulator, tmp_path: Path
) -> None:
    ran = run("stream-mic", env=env_of(live) | with_sounddevice(tmp_path, BUSY))

    assert (ran.status, ran.out) == (12, "")
    assert "Built-in" in ran.err
    assert "Studio" in ran.err
    assert live.accepted == []


@pytest.fixture
def server() -> Iterator[SoundServer]:
    if not sys.platform.startswith("linux") or not all(map(shutil.which, NEEDED)):
        pytest.skip("needs PulseAudio")
    with sound_server() as running:
        yield running


def test_g08_a_real_microphone_is_heard_until_ctrl_c(
    listener: RealtimeEmulator, server: SoundServer
) -> None:
    env = environment(**server.environment) | env_of(listener)
    with Process("stream-mic", "-f", "jsonl", env=env) as program:
        listener.wait_for(lambda: any(book.audio for book in listener.connections))
        server.play(NUMBER.path)
        program.interrupt()
        status, out, err = program.end()

    assert status == 0, err
    assert only_finals(out) == [NUMBER.text]
    assert listener.violations == []


def test_the_microphones_are_listed(server: SoundServer) -> None:
    ran = run("stream-mic", "--list-devices", env=environment(**server.environment))

    header, *rows = ran.out.splitlines()
    assert header.split("\t")[:3] == ["number", "name", "host API"]
    assert any("vmic_monitor" in row for row in rows)


def test_w17_a_microphone_that_is_unplugged_is_12_and_its_words_are_kept(
    listener: RealtimeEmulator, server: SoundServer
) -> None:
    env = environment(**server.environment) | env_of(listener)
    with Process("stream-mic", env=env) as program:
        listener.wait_for(lambda: any(book.audio for book in listener.connections))
        server.play(NUMBER.path)
        server.unplug()
        status, out, err = program.end()

    assert status == 12, err
    assert out == f"{NUMBER.text}\n"
