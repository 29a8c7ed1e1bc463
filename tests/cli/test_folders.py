"""Inputs of every kind by the installed program: folders, links, pipes, lists, URLs, shards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import wave
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.cli.altered import GENERATION, begin, spoken, variants
from tests.cli.conftest import Served
from tests.cli.machine import small_disk, used_memory, without_rights
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.emulators.server import serve
from tests.emulators.service import Emulator, Received
from tests.emulators.troubles import Gate
from tests.program import COMMAND, environment, run
from tests.recordings import concatenate, encode_as, recording

WELCOME = recording("welcome")
NUMBER = recording("number")
FLASH = ("-m", "qwen3-asr-flash")
posix = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and modes of POSIX")


def calls(qwen: Served[DashScope]) -> int:
    return len(qwen.service.requests.to(*GENERATION.split()))


def names(text: str) -> list[str]:
    """The names in the headings."""
    return [line[4:-4] for line in text.splitlines() if line.startswith("==> ")]


def below(folder: Path) -> dict[str, str]:
    """Every file below a folder, and what is in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- F: what is in a folder -------------------------------------------------------------------


def test_one_bad_file_stops_nothing_and_the_tree_is_mirrored(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    tree = tmp_path / "in"
    made = variants(4, tree / "a" / "deep")
    (tree / "b").mkdir()
    (tree / "b" / "bad.wav").write_bytes(b"RIFF")
    (tree / "notes.txt").write_text("no audio", "utf-8")

    ran = run("transcribe", *FLASH, "-r", tree, "-o", tmp_path / "out", env=qwen.env)

    assert ran.status == 3
    assert "bad.wav" in ran.err
    expected = {f"a/deep/{path.stem}.txt": f"{spoken(path).text}\n" for path in made}
    assert below(tmp_path / "out") == expected


def test_a_plan_of_a_folder_with_one_bad_file_shows_the_others_and_sends_nothing(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    variants(2, tmp_path / "in")
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF")

    ran = run("transcribe", *FLASH, "-n", "-f", "jsonl", tmp_path / "in", env=qwen.env)

    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 3
    assert [row["type"] for row in rows].count("plan") == 2
    assert "bad.wav" in ran.err
    assert qwen.service.requests == []


@posix
def test_f02_what_may_not_be_read_fails_and_the_rest_is_done(
    qwen: Served[DashScope], welcome: Path
) -> None:
    tree = welcome.parent
    shutil.copy(welcome, tree / "locked.wav")
    (tree / "closed").mkdir()
    shutil.copy(welcome, tree / "closed" / "inside.wav")
    (tree / "locked.wav").chmod(0)
    (tree / "closed").chmod(0)

    try:
        command = without_rights()
        ran = run("transcribe", "-r", tree, "-f", "jsonl", env=qwen.env, command=command)
        alone = run("transcribe", tree / "closed", env=qwen.env, command=command)
    finally:
        (tree / "closed").chmod(0o700)

    records = {Path(r["name"]).name: r for r in map(json.loads, ran.out.splitlines())}
    assert ran.status == 3
    assert {name: r["status"] for name, r in records.items()} == {
        "welcome.wav": "ok", "locked.wav": "failed", "closed": "failed",
    }  # fmt: skip
    assert records["locked.wav"]["error"]["class"] == "input"
    assert "may not be read" in records["locked.wav"]["error"]["message"]
    assert records["closed"]["error"]["class"] == "input"
    assert "Permission denied" in records["closed"]["error"]["message"]
    assert alone.status == 7
    assert "Permission denied" in alone.err


def test_f05_a_file_that_vanishes_after_the_scan_fails_alone(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    first, second, third = variants(3, tmp_path / "in")
    gate = Gate()
    qwen.service.failures.add(gate, route=GENERATION)
    process = begin("transcribe", *FLASH, "-j", "1", first.parent, env=qwen.env)
    assert gate.arrived.wait(30)
    second.unlink()
    gate.open()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3
    assert [Path(name) for name in names(out)] == [first, third]
    assert second.name in err


@posix
def test_f06_a_folder_with_pipes_and_sockets_is_scanned_without_opening_them(
    qwen: Served[DashScope], welcome: Path
) -> None:
    os.mkfifo(welcome.parent / "pipe.wav")
    with contextlib.chdir(welcome.parent), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.wav")
        ran = run("transcribe", welcome.parent, env=qwen.env)
        named = run("transcribe", "socket.wav", env=qwen.env)
    device = run("transcribe", "/dev/zero", env=qwen.env)

    assert (ran.status, ran.out) == (0, f"{WELCOME.text}\n")
    assert (named.status, device.status) == (7, 7)
    assert calls(qwen) == 1


@posix
def test_f06_a_pipe_that_is_named_is_read(qwen: Served[DashScope], welcome: Path) -> None:
    pipe = welcome.parent / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(welcome.read_bytes()))
    writer.start()
    ran = run("transcribe", pipe, env=qwen.env)
    writer.join()
    stdin = run("transcribe", "/dev/stdin", env=qwen.env, stdin=welcome.read_bytes())

    assert (ran.status, ran.out) == (0, f"{WELCOME.text}\n")
    assert (stdin.status, stdin.out) == (0, f"{WELCOME.text}\n")


@posix
def test_f07_links_are_followed_only_where_asked_for_and_a_loop_ends(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    tree, outside = tmp_path / "in", tmp_path / "outside"
    (inside,) = variants(1, tree)
    (beyond,) = variants(1, outside, ["welcome"])
    (tree / "loop").symlink_to(tree)
    (tree / "self").symlink_to(tree / "self")
    (tree / "far").symlink_to(outside)

    plain = run("transcribe", *FLASH, "-r", tree, "-f", "jsonl", env=qwen.env)
    followed = run("transcribe", *FLASH, "-r", "--follow", tree, "-f", "jsonl", env=qwen.env)

    def found(text: str) -> list[str]:
        return [json.loads(line)["name"] for line in text.splitlines()]

    assert (plain.status, followed.status) == (0, 0)
    assert found(plain.out) == [str(inside)]
    assert found(followed.out) == [str(inside), str(tree / "far" / beyond.name)]


@posix
def test_f08_the_same_file_by_several_names_is_sent_once_and_each_name_gets_its_output(
    qwen: Served[DashScope], welcome: Path
) -> None:
    (welcome.parent / "hard.wav").hardlink_to(welcome)
    shutil.copy(welcome, welcome.parent / "copy.wav")
    given = ["welcome.wav", "./welcome.wav", str(welcome), "hard.wav", "copy.wav"]

    ran = run("transcribe", *FLASH, *given, "-o", "out", env=qwen.env, cwd=welcome.parent)

    assert ran.status == 0, ran.err
    assert below(welcome.parent / "out") == dict.fromkeys(
        ["welcome.txt", "hard.txt", "copy.txt"], f"{WELCOME.text}\n"
    )
    assert calls(qwen) == 1


HARD_NAMES = [
    "new\nline.wav",
    "tab\t.wav",
    "esc\x1b[31m.wav",
    "-y.wav",
    "--help.wav",
    "x" * 251 + ".wav",
    "\U0001f3a4.wav",
    "right\u202eleft.wav",
    "-.wav",
    "#.wav",
    "[a].wav",
    " .wav",
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems forbid some of these names")
def test_f09_every_name_of_a_file_works_and_none_reaches_the_terminal_as_it_is(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    tree = tmp_path / "in"
    tree.mkdir()
    exact = [*HARD_NAMES, os.fsdecode(b"caf\xe9.wav")]
    for name in exact:
        shutil.copy(WELCOME.path, tree / name)
    (tree / "bad\x1b\n\u202e.wav").write_bytes(b"RIFF")

    files = run("transcribe", *FLASH, tree, "-o", tmp_path / "out", env=qwen.env)
    lines = run("transcribe", *FLASH, ".", "-f", "jsonl", env=qwen.env, cwd=tree)
    shown = run("transcribe", *FLASH, ".", env=qwen.env, cwd=tree)

    assert (files.status, lines.status, shown.status) == (3, 3, 3)
    written = {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()}
    assert written == {os.fsencode(f"{name.removesuffix('.wav')}.txt") for name in exact}
    records = [json.loads(line) for line in lines.out.splitlines()]
    # What is no UTF-8 is a lone surrogate in the JSON, and comes back as the byte it was.
    assert {r["name"] for r in records if r["status"] == "ok"} == set(exact)
    for text in (files.err, lines.err, lines.out, shown.err, shown.out):
        assert not {"\x1b", "\t"}.intersection(text)
    assert "\u202e" not in files.err + lines.err + lines.out + shown.err
    assert len(shown.err.splitlines()) <= 3


@pytest.mark.parametrize(
    ("given", "status", "written"),
    [
        (["A.wav", "a.wav"], 2, []),
        (["A.wav", "a.flac"], 0, ["A.wav.txt", "a.flac.txt"]),
        (["con.wav", "x..wav"], 0, ["con.txt", "x..txt"]),
        (["x.wav", "x.flac"], 0, ["x.flac.txt", "x.wav.txt"]),
        (["x.wav", "x.flac", "x.wav.wav"], 2, []),
    ],
    ids=["F10 case", "F10 suffix", "F10 reserved", "F11", "F11 chain"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell these names apart")
def test_f10_f11_names_that_collide_get_their_suffix_or_are_refused_before_anything_is_sent(
    qwen: Served[DashScope], tmp_path: Path, given: list[str], status: int, written: list[str]
) -> None:
    for name in given:
        suffix = name.rpartition(".")[2]
        shutil.copy(encode_as(WELCOME.path, suffix, tmp_path), tmp_path / name)
    out = tmp_path / "out"

    ran = run("transcribe", *FLASH, *given, "-o", out, env=qwen.env, cwd=tmp_path)

    assert ran.status == status, ran.err
    assert sorted(below(out) if out.exists() else []) == sorted(written)
    assert bool(qwen.service.requests) is bool(written)


def test_f13_thousands_of_files_thirty_levels_deep_in_little_memory(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    count = 0
    for level in range(30):
        folder = folder / f"level-{level:02}"
        folder.mkdir(parents=True)
        for number in range(80):
            os.link(NUMBER.path, folder / f"{number:03}.wav")
            count += 1

    status, out, err, most = used_memory(
        "transcribe", *FLASH, "-r", tmp_path / "in", "-f", "jsonl", env=qwen.env
    )

    assert status == 0, err
    assert out.count("\n") == count == 2400
    assert len({json.loads(line)["name"] for line in out.splitlines()}) == count
    assert calls(qwen) == 1
    assert most < 200_000_000


# --- lists of names ---------------------------------------------------------------------------
# A manifest in JSONL (F15) is no part of the command line; `--files-from` is what there is.


@pytest.mark.parametrize(
    ("content", "nul", "said"),
    [
        (b"welcome.wav\n\n# x\nwel\0come.wav\n", False, "line 4"),
        (b"welcome.wav\r\n" + b"x" * 1_000_000 + b"\n", False, "line 2"),
        (b"welcome.wav\0\0" + b"x" * 1_000_000 + b"\0", True, "name 3"),
    ],
    ids=["NUL in a line", "1 MB line", "1 MB name"],
)
def test_f14_a_bad_line_of_a_list_is_named_by_its_number_before_anything_is_sent(
    qwen: Served[DashScope], welcome: Path, content: bytes, said: str, nul: bool
) -> None:
    (welcome.parent / "list").write_bytes(content)

    options = ["--files-from", "list", *(["-0"] if nul else [])]
    ran = run("transcribe", *options, env=qwen.env, cwd=welcome.parent)

    assert ran.status == 2
    assert said in ran.err
    assert len(ran.err) < 1000
    assert qwen.service.requests == []


def test_f14_names_in_a_list_that_are_missing_fail_alone(
    qwen: Served[DashScope], welcome: Path
) -> None:
    listed = "missing one.wav\r\n  \r\nwelcome.wav\r\n".encode("utf-8-sig")
    (welcome.parent / "list").write_bytes(listed)

    ran = run("transcribe", "--files-from", "list", env=qwen.env, cwd=welcome.parent)

    assert (ran.status, names(ran.out)) == (3, ["welcome.wav"])
    assert "missing one.wav" in ran.err


# --- URLs -------------------------------------------------------------------------------------


class Web(Emulator):
    """Somebody's web server: each path is one kind of answer."""

    def answer(self, request: Received) -> httpx.Response:
        content = WELCOME.path.read_bytes()
        kind = request.path.strip("/")
        if kind.startswith("again-"):
            left = int(kind.removeprefix("again-"))
            target = f"/again-{left - 1}" if left else "/whole.wav"
            return httpx.Response(302, headers={"location": target})
        if kind.startswith("to-"):
            return httpx.Response(302, headers={"location": request.params["to"]})
        if kind == "huge.wav":
            head = {"content-length": "5000000000"}
            return httpx.Response(200, headers=head, stream=httpx.ByteStream(b"RIFF"))
        if kind == "unsized.wav":
            return httpx.Response(200, stream=httpx.ByteStream(content))
        if kind == "whole.wav":
            return httpx.Response(200, content=content)
        return httpx.Response(404, text="nothing here")


def test_f16_x10_each_url_is_fetched_or_fails_alone_and_shows_no_secret(
    onemin: Served[OneMin],
) -> None:
    expected = {
        "whole.wav": "",
        "unsized.wav": "",
        "again-4": "",
        "again-5": "redirects",
        "missing.wav?token=s3cret": "nothing at",
        "huge.wav": "5,000,000,000",
        "to-file?to=file:///etc/hostname": "cannot fetch",
        "to-ftp?to=ftp://127.0.0.1/x.wav": "cannot fetch",
    }
    with serve(Web()) as web:
        urls = [f"{web.url}/{path}" for path in expected]
        urls.append(f"http://user:s3cret@127.0.0.1:{web.port}/whole.wav")
        options = ["-p", "onemin", "--insecure-http", "-f", "jsonl"]
        ran = run("transcribe", *options, *urls, env=onemin.env)

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 3, ran.err
    for record, said in zip(records, [*expected.values(), "password"], strict=True):
        assert record["status"] == ("failed" if said else "ok"), record
        if said:
            assert record["error"]["class"] == "input"
            assert said in record["error"]["message"]
        else:
            assert record["text"] == WELCOME.text
    assert "s3cret" not in ran.err
    assert "user:s3cret" not in ran.out


def test_f16_x10_a_url_of_another_scheme_or_of_a_private_network_is_never_called(
    onemin: Served[OneMin],
) -> None:
    urls = [
        "file:///etc/hostname",
        "ftp://127.0.0.1/x.wav",
        "http://host.example/x.wav",
        f"http://127.0.0.1:{onemin.server.port}/x.wav",
        "https://127.0.0.1/x.wav",
        "https://169.254.169.254/latest/x.wav",
        "https://[::1]/x.wav",
        "https://[::ffff:127.0.0.1]/x.wav",
        "https://localhost/x.wav",
        "https://10.0.0.1:22/x.wav",
    ]

    options = ["-p", "onemin", "--retries", "0", "-f", "jsonl"]
    ran = run("transcribe", *options, *urls, env=onemin.env)

    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 3
    assert [(r["name"], r["error"]["class"]) for r in records] == [(u, "input") for u in urls]
    assert onemin.server.connections_opened == 0


def test_x05_a_secret_in_a_url_is_on_neither_stream(qwen: Served[DashScope]) -> None:
    url = "https://user:s3cret@host.example/talk.mp3?sig=s3cret2"

    one = run("transcribe", *FLASH, "--retries", "0", url, env=qwen.env)
    several = run("transcribe", *FLASH, "-v", "--retries", "0", url, "missing.wav", env=qwen.env)

    assert "s3cret" not in one.err + several.err


# --- standard input ---------------------------------------------------------------------------


def test_f17_a_pipe_that_is_empty_or_closed_is_an_input_that_cannot_be_read(
    qwen: Served[DashScope],
) -> None:
    empty = run("transcribe", "-", env=qwen.env, stdin=b"")
    script = f"exec {COMMAND[0]} transcribe - <&-"
    closed = subprocess.run(
        ["bash", "-c", script], env=environment(**qwen.env), capture_output=True, check=False
    )

    assert (empty.status, closed.returncode) == (7, 7)
    assert "standard input" in empty.err
    assert b"standard input" in closed.stderr
    assert qwen.service.requests == []


@posix
def test_f17_a_terminal_is_not_waited_for(qwen: Served[DashScope]) -> None:
    import pty

    leader, follower = pty.openpty()
    try:
        process = begin("transcribe", "-", env=qwen.env, stdin=follower)
        _, err = process.communicate(timeout=60)
    finally:
        os.close(leader)
        os.close(follower)

    assert process.returncode == 2
    assert "terminal" in err


@posix
def test_f17_what_comes_from_a_pipe_is_kept_on_disk_and_not_in_memory(
    qwen: Served[DashScope],
) -> None:
    script = 'shift; head -c 300000000 /dev/zero | "$@"'
    status, _, err, most = used_memory(
        "transcribe", "-", env=qwen.env, script=f'set -- x "$@"; {script}'
    )

    assert status == 7, err
    assert most < 200_000_000


# --- M: what is in a file ---------------------------------------------------------------------


def wav(path: Path, samples: bytes, *, channels: int = 1, rate: int = 16_000, size: int) -> Path:
    """A WAV whose header says what it likes."""
    block = max(1, channels) * 2
    head = (
        b"RIFF" + min(36 + size, 0xFFFFFFFF).to_bytes(4, "little") + b"WAVEfmt "
        + (16).to_bytes(4, "little") + (1).to_bytes(2, "little") + channels.to_bytes(2, "little")
        + rate.to_bytes(4, "little") + (rate * block & 0xFFFFFFFF).to_bytes(4, "little")
        + block.to_bytes(2, "little") + (16).to_bytes(2, "little")
        + b"data" + size.to_bytes(4, "little")
    )  # fmt: skip
    path.write_bytes(head + samples)
    return path


def spoken_samples() -> bytes:
    with wave.open(str(NUMBER.path)) as file:
        return bytes(file.readframes(file.getnframes()))


def test_m02_a_header_that_claims_4_gb_is_not_believed(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = wav(tmp_path / "x.wav", spoken_samples(), size=0xFFFFFFFF)

    status, out, err, most = used_memory("transcribe", *FLASH, "-f", "json", path, env=qwen.env)

    record = json.loads(out)
    assert status == 0, err
    assert record["text"] == NUMBER.text
    assert abs(record["source"]["duration"] - len(spoken_samples()) / 32_000) < 0.01
    assert most < 200_000_000


def test_m03_headers_that_make_no_sense_are_refused_or_read_sanely(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    samples = spoken_samples()
    tree = tmp_path / "in"
    tree.mkdir()
    made = [
        wav(tree / "no-channels.wav", samples, channels=0, size=len(samples)),
        wav(tree / "many-channels.wav", samples, channels=32_767, size=len(samples)),
        wav(tree / "no-rate.wav", samples, rate=0, size=len(samples)),
        wav(tree / "high-rate.wav", samples, rate=2**31 - 1, size=len(samples)),
        wav(tree / "no-frames.wav", b"", size=0),
        wav(tree / "odd.wav", samples[:-1], size=len(samples) - 1),
        wav(tree / "one-byte.wav", b"x", size=1),
    ]

    ran = run("transcribe", *FLASH, "-f", "jsonl", tree, env=qwen.env)

    records = {Path(r["name"]).name: r for r in map(json.loads, ran.out.splitlines())}
    assert ran.status == 3, ran.err
    assert len(records) == len(made)
    for name, record in records.items():
        if record["status"] == "ok":
            assert record["duration"] >= 0
            assert record["text"] in {"", NUMBER.text}, name
        else:
            assert record["error"]["class"] == "input"
    assert records["no-channels.wav"]["status"] == records["no-rate.wav"]["status"] == "failed"
    assert records["odd.wav"]["text"] == NUMBER.text


@pytest.fixture
def two_tracks(tmp_path: Path) -> Path:
    """A Matroska file of which each track says something else."""
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as sink:
        sources = [av.open(str(r.path)) for r in (WELCOME, NUMBER)]
        streams = [sink.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in sources]
        for source, stream in zip(sources, streams, strict=True):
            for frame in source.decode(audio=0):
                frame.pts = None
                sink.mux(stream.encode(frame))
            sink.mux(stream.encode(None))
            source.close()
    return path


def test_m06_of_several_tracks_the_first_is_taken_and_the_record_says_so(
    qwen: Served[DashScope], two_tracks: Path
) -> None:
    first = run("transcribe", *FLASH, "-f", "json", two_tracks, env=qwen.env)
    second = run("transcribe", *FLASH, "-f", "json", "--track", "1", two_tracks, env=qwen.env)
    third = run("transcribe", *FLASH, "--track", "2", two_tracks, env=qwen.env)

    records = [json.loads(ran.out) for ran in (first, second)]
    assert [r["text"] for r in records] == [WELCOME.text, NUMBER.text]
    assert [(r["source"]["track"], r["source"]["tracks"]) for r in records] == [(0, 2), (1, 2)]
    assert third.status in {2, 7}


def test_m07_hours_of_silence_in_a_small_file_take_little_memory_and_no_call(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", samplerate=8000, channels=1) as file:
        for _ in range(40):
            file.write(np.zeros(8000 * 60, np.int16))
    assert path.stat().st_size < 1_000_000

    status, out, err, most = used_memory("transcribe", *FLASH, path, env=qwen.env)

    assert (status, out) == (0, ""), err
    assert qwen.service.requests == []
    assert most < 250_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.parametrize("how", ["pieces", "conversion"])
def test_m07_what_does_not_fit_on_the_disk_for_temporary_files_is_refused_before_any_call(
    qwen: Served[DashScope], tmp_path: Path, how: str
) -> None:
    path, command = WELCOME.path, [*FLASH, "--normalize"]
    if how == "pieces":
        command = [*FLASH]
        path = concatenate([WELCOME.path, NUMBER.path] * 40, tmp_path / "talk.wav", gap=0.5)
    with small_disk(tmp_path / "disk", size=16_384) as disk:
        env = qwen.env | {"TMPDIR": str(disk)}
        ran = run("transcribe", *command, path, env=env)
    sent = len(qwen.service.requests)
    elsewhere = run("transcribe", *command, path, env=qwen.env)

    assert (ran.status, ran.out, sent) == (8, "", 0), ran.err
    assert "temporary files" in ran.err
    assert "TMPDIR" in ran.err
    assert elsewhere.status == 0, elsewhere.err


def tagged(source: Path, path: Path) -> Path:
    """The same recording with tags that would like to be something else."""
    import av

    tags = {"title": "EVIL\x1b]0;x\x07\n--> 1", "comment": "EVIL" * 250_000}
    with av.open(str(source)) as read, av.open(str(path), "w") as sink:
        sink.metadata.update(tags)
        stream = sink.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    assert b"EVIL" in path.read_bytes()
    return path


def test_m18_tags_are_never_printed(qwen: Served[DashScope], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for container in ("mp3", "flac", "m4a"):
        encoded = encode_as(WELCOME.path, container, tmp_path)
        tagged(encoded, tmp_path / "in" / f"{container}.{container}")
    options: list[str | Path] = ["-v", "-f", "json", "-f", "srt", "-o", tmp_path / "out"]

    ran = run("transcribe", *FLASH, *options, tmp_path / "in", env=qwen.env)

    assert ran.status == 0, ran.err
    written = below(tmp_path / "out")
    assert len(written) == 6
    for text in (ran.err, *written.values()):
        assert "EVIL" not in text
        assert "\x1b" not in text


# --- the same again, and elsewhere ------------------------------------------------------------


def test_s22_files_of_one_name_lie_apart_at_the_service_and_each_has_its_own_text(
    onemin: Served[OneMin], tmp_path: Path
) -> None:
    for folder, said in (("a", WELCOME), ("b", NUMBER)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        shutil.copy(said.path, tmp_path / "in" / folder / "x.wav")

    ran = run("transcribe", "-r", tmp_path / "in", "-o", tmp_path / "out", env=onemin.env)

    assert ran.status == 0, ran.err
    assert len(onemin.service.assets) == 2
    assert below(tmp_path / "out") == {
        "a/x.txt": f"{WELCOME.text}\n",
        "b/x.txt": f"{NUMBER.text}\n",
    }


def test_the_same_content_is_uploaded_once_whatever_its_name(
    onemin: Served[OneMin], welcome: Path
) -> None:
    shutil.copy(welcome, welcome.parent / "copy.wav")
    both = [welcome, welcome.parent / "copy.wav"]

    stored = run("upload", *both, env=onemin.env)
    again = run("upload", *both, env=onemin.env)
    ran = run("transcribe", "--no-headings", *both, env=onemin.env)

    assert (stored.status, again.status, ran.status) == (0, 0, 0)
    assert len(set(stored.out.split())) == 1
    assert again.out == stored.out
    assert ran.out == f"{WELCOME.text}\n" * 2
    assert len(onemin.service.uploads) == 1


def test_every_input_is_in_one_shard_and_in_the_same_one_elsewhere(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    for top in ("here", "there/below"):
        variants(12, tmp_path / top / "deep")

    def shard(top: str, part: str) -> list[str]:
        given: list[str | Path] = ["-n", "-f", "jsonl", "-r", tmp_path / top, "--shard", part]
        ran = run("transcribe", *FLASH, *given, env=qwen.env)
        assert ran.status == 0, ran.err
        rows = [json.loads(line) for line in ran.out.splitlines()]
        return [Path(row["name"]).name for row in rows if row["type"] == "plan"]

    here = [shard("here", f"{number}/3") for number in (1, 2, 3)]

    assert set(Counter(name for part in here for name in part).values()) == {1}
    assert sum(map(len, here)) == 12
    assert all(len(part) < 12 for part in here)
    assert shard("there/below", "2/3") == here[1]
    assert run("transcribe", "x.wav", "--shard", "0/3").status == 2
    assert run("transcribe", "x.wav", "--shard", "4/3").status == 2


def test_results_are_called_the_same_whatever_the_shards(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        shutil.copy(recording("number").path, folder / f"x{number}.wav")
        (folder / f"x{number}.flac").write_bytes(recording("letter").path.read_bytes())
    command = ("transcribe", "-m", "qwen3-asr-flash", folder)

    run(*command, "-o", tmp_path / "whole", env=qwen.env)
    for shard in ("1/3", "2/3", "3/3"):
        run(*command, "-o", tmp_path / "shards", "--shard", shard, env=qwen.env)

    whole, shards = (
        {path.name: path.read_text("utf-8") for path in (tmp_path / name).iterdir()}
        for name in ("whole", "shards")
    )
    assert len(whole) == 8
    assert shards == whole
