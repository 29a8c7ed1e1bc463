"""What goes wrong, whole: exit status, one line that says it, nothing sent, no key shown."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Served
from tests.emulators import onemin_errors
from tests.emulators.dashscope import faults, hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import KEY as ONEMIN_KEY
from tests.emulators.onemin import OneMin
from tests.emulators.server import serve
from tests.emulators.service import Emulator, Received
from tests.program import COMMAND, Ran, environment, run
from tests.recordings import RECORDINGS, encode_as, recording, silence

WELCOME = recording("welcome")


def assert_told(ran: Ran, status: int, *said: str) -> None:
    """One failure: its status, its words, at most a line and a hint, no traceback, no key."""
    assert ran.status == status, ran.err
    for words in said:
        assert words in ran.err
    assert len(ran.err.splitlines()) <= 3
    assert "Traceback" not in ran.err
    assert hosts.KEY not in ran.err + ran.out
    assert ONEMIN_KEY not in ran.err + ran.out


# --- F, M: inputs -----------------------------------------------------------------------------


def test_f01_a_missing_file_fails_and_the_others_go_on(
    qwen: Served[DashScope], welcome: Path
) -> None:
    alone = run("transcribe", "nowhere.wav", env=qwen.env)
    beside = run("transcribe", "--no-headings", "nowhere.wav", welcome, env=qwen.env)

    assert_told(alone, 7, "nowhere.wav")
    assert_told(beside, 3, "nowhere.wav")
    assert beside.out == WELCOME.text + "\n"


@pytest.mark.parametrize("name", [".", "*.wav"])
def test_f01_a_folder_or_a_pattern_without_audio(name: str, tmp_path: Path) -> None:
    assert_told(run("transcribe", name, cwd=tmp_path), 7)


def test_f03_an_empty_file_is_refused_before_any_call(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    (tmp_path / "empty.wav").touch()

    assert_told(run("transcribe", tmp_path / "empty.wav", env=qwen.env), 7, "empty")
    assert qwen.service.requests == []


def sparse_wav(path: Path, *, seconds: float) -> Path:
    """A WAV of silence that takes no room on the disk."""
    size = int(seconds * 16_000) * 2
    head = (
        b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (16_000).to_bytes(4, "little")
        + (32_000).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
        + b"data" + size.to_bytes(4, "little")
    )  # fmt: skip
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return path


def test_f18_too_long_is_decided_here_with_the_numbers(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = sparse_wav(tmp_path / "long.wav", seconds=12 * 3600 + 1)

    ran = run("transcribe", "-m", "qwen3-asr-flash-filetrans", path, env=qwen.env)

    assert_told(ran, 7, "43,201.0 s", "43,200 s")
    assert qwen.service.requests == []


def test_f18_a_file_above_the_limit_is_made_smaller_before_it_is_sent(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    from tests.recordings import concatenate

    path = concatenate([WELCOME.path] * 3, tmp_path / "x.wav", gap=0.5)
    import av

    big = tmp_path / "big.wav"  # 48 kHz, 2 channels, 32 bits: 15 times as many bytes
    with av.open(str(path)) as source, av.open(str(big), "w") as sink:
        stream = sink.add_stream("pcm_f32le", rate=192_000, layout="stereo")
        resampler = av.AudioResampler("flt", "stereo", 192_000)
        for frame in source.decode(audio=0):
            for made in resampler.resample(frame):
                sink.mux(stream.encode(made))
        sink.mux(stream.encode(None))
    assert big.stat().st_size > 10_000_000

    ran = run("transcribe", "-v", "-m", "qwen3-asr-flash", big, env=qwen.env)

    assert ran.status == 0, ran.err
    assert ran.out == " ".join([WELCOME.text] * 3) + "\n"
    assert "10.0 MB" in ran.err


@pytest.mark.parametrize(
    "content",
    [b"Dear diary, today ...\n" * 50, b"\x00\x01\x02\x03" * 500, bytes(range(256)) * 20],
    ids=["text", "zeros and ones", "bytes"],
)
def test_m01_what_is_no_audio_is_refused_and_no_library_speaks(
    qwen: Served[DashScope], tmp_path: Path, content: bytes
) -> None:
    for suffix in ("wav", "mp3", "ogg"):
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(content)

        ran = run("transcribe", path, env=qwen.env)

        assert_told(ran, 7, path.name)
        assert all(line.startswith(("asrcli:", "  ")) for line in ran.err.splitlines())
    assert qwen.service.requests == []


@pytest.mark.parametrize("container", ["mp3", "m4a", "ogg"])
def test_m04_a_file_that_was_cut_gives_what_is_there_or_a_reason(
    container: str, tmp_path: Path
) -> None:
    whole = encode_as(WELCOME.path, container, tmp_path)
    short, tiny = tmp_path / f"short.{container}", tmp_path / f"tiny.{container}"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    tiny.write_bytes(whole.read_bytes()[:40])

    half, nothing = run("transcribe", short), run("transcribe", tiny)

    assert half.status in {0, 7}
    if half.status == 0:
        assert half.out.startswith("good morning")
        assert len(half.out.split()) < len(WELCOME.heard.split())
    assert_told(nothing, 7)


def test_m05_a_video_without_sound_is_told_from_one_with(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    import av
    import numpy as np

    path = tmp_path / "silent-film.mp4"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))

    assert_told(run("transcribe", path, env=qwen.env), 7, "no audio track")
    assert qwen.service.requests == []


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 96\n",
        "1\n00:00:00,000 --> 00:00:01,000\nsecret\n",
    ],
    ids=["ffconcat", "HLS", "SDP", "SRT"],
)
def test_m12_m14_a_list_named_wav_never_sends_the_file_it_names(
    qwen: Served[DashScope], tmp_path: Path, content: str
) -> None:
    (tmp_path / "secret.wav").write_bytes(WELCOME.path.read_bytes())
    (tmp_path / "x.wav").write_text(content, "utf-8")

    assert_told(run("transcribe", "x.wav", env=qwen.env, cwd=tmp_path), 7, "x.wav")
    assert qwen.service.requests == []


@pytest.mark.skipif(os.name == "nt", reason="these names cannot be there")
@pytest.mark.parametrize(
    "name", ["http:x.wav", "concat:a|b.wav", "a:b.wav", "-y.wav", "pipe:0", "file:x", "%d.wav"]
)
def test_m13_a_name_that_is_a_protocol_elsewhere_is_a_file_here(
    qwen: Served[DashScope], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(WELCOME.path.read_bytes())

    ran = run("transcribe", "--", name, env=qwen.env, cwd=tmp_path)

    assert (ran.status, ran.out) == (0, WELCOME.text + "\n")


def test_m11_nothing_needs_an_ffmpeg_on_the_path(welcome: Path) -> None:
    ran = run(
        "transcribe", encode_as(WELCOME.path, "wma", welcome.parent), env={"PATH": "/nowhere"}
    )

    assert ran.status == 0, ran.err
    assert ran.out.startswith("good morning")


def with_unknown_codec(path: Path, tmp_path: Path) -> Path:
    """A Matroska file whose codec nobody has heard of."""
    made = encode_as(path, "mkv", tmp_path)
    unknown = made.with_name("unknown.mkv")
    unknown.write_bytes(made.read_bytes().replace(b"A_FLAC", b"A_FLOP"))
    return unknown


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_m11_a_codec_of_which_only_the_systems_ffmpeg_knows(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = with_unknown_codec(WELCOME.path, tmp_path)
    tools = tmp_path / "my tools"
    tools.mkdir()
    ffmpeg = tools / "ffmpeg"
    ffmpeg.write_text(f"#!/bin/sh\nexec /bin/cat '{WELCOME.path}'\n", "utf-8")
    ffmpeg.chmod(0o755)

    without = run("transcribe", path, env=qwen.env | {"PATH": "/nowhere"})
    with_it = run("transcribe", path, env=qwen.env | {"PATH": str(tools)})

    assert_told(without, 13, "ffmpeg", "Install")
    assert (with_it.status, with_it.out) == (0, WELCOME.text + "\n")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_x19_an_ffmpeg_in_the_current_folder_is_never_run(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = with_unknown_codec(WELCOME.path, tmp_path)
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\ntouch was-run\n", "utf-8")
    (tmp_path / "ffmpeg").chmod(0o755)

    ran = run("transcribe", path, env=qwen.env | {"PATH": f".{os.pathsep}"}, cwd=tmp_path)

    assert ran.status == 13
    assert not (tmp_path / "was-run").exists()


# --- K: configuration -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["transcribe", "-p", "qwen", "x.wav"],
        ["transcribe", "-m", "qwen3-asr-flash", "x.wav"],
        ["transcribe", "-l", "de", "x.wav"],
        ["transcribe", "--emotion", "x.wav"],
        ["upload", "x.wav"],
    ],
    ids=" ".join,
)
def test_k01_without_a_key_it_says_where_one_goes(arguments: list[str], welcome: Path) -> None:
    ran = run(*arguments[:-1], welcome)

    assert_told(ran, 4, "DASHSCOPE_API_KEY")


@pytest.mark.parametrize("key", ["sk-abc\r\nX-Evil: yes", "sk abc", "schlüssel"])
def test_k02_a_key_that_cannot_be_is_refused_unseen(
    qwen: Served[DashScope], welcome: Path, key: str
) -> None:
    ran = run("transcribe", welcome, env=qwen.env | {"DASHSCOPE_API_KEY": key})

    assert_told(ran, 2, "DASHSCOPE_API_KEY")
    assert "Evil" not in ran.err
    assert qwen.service.requests == []


def test_k02_a_key_with_quotes_around_it_is_used_with_a_note(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = run("transcribe", welcome, env=qwen.env | {"DASHSCOPE_API_KEY": f'"{hosts.KEY}" '})

    assert ran.status == 0
    assert "trimmed" in ran.err


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_k07_a_missing_certificate_file_names_its_variable(welcome: Path, variable: str) -> None:
    env = {"DASHSCOPE_API_KEY": hosts.KEY, variable: "/nowhere/ca.pem"}

    assert_told(run("transcribe", welcome, env=env), 2, variable)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("dashscope.example.com/api/v1", "scheme"),
        ("http://dashscope.example.com/api/v1", "--insecure-http"),
        ("ftp://dashscope.example.com", "URL"),
        ("https://user:secret@dashscope.example.com", "password"),
    ],
)
def test_k08_a_base_url_that_cannot_be_used_is_refused(welcome: Path, url: str, said: str) -> None:
    env = {"DASHSCOPE_API_KEY": hosts.KEY, "DASHSCOPE_HTTP_BASE_URL": url}

    assert_told(run("transcribe", welcome, env=env), 2, said)


def test_k08_a_slash_at_the_end_or_a_doubled_path_is_put_right(
    qwen: Served[DashScope], welcome: Path
) -> None:
    for end in ("", "/", "/api/v1/", "/api/v1"):
        env = qwen.env | {"DASHSCOPE_HTTP_BASE_URL": qwen.server.url + end}
        assert run("transcribe", welcome, env=env).out == WELCOME.text + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "qwen3-asr-flsh"], "qwen3-asr-flash"),
        (["-l", "englsh"], "English"),
        (["-l", "xx"], "xx"),
        (["-f", "srtt"], "srt"),
        (["-p", "qwne"], "qwen"),
        (["--color", "sometimes"], "always"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "nan"], "--jobs"),
        (["--nonsense"], "--nonsense"),
        (["--timeout", "-1"], "--timeout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_k09_nonsense_is_refused_with_what_is_near(
    qwen: Served[DashScope], welcome: Path, arguments: list[str], said: str
) -> None:
    ran = run("transcribe", *arguments, welcome, env=qwen.env)

    assert_told(ran, 2, said)
    assert qwen.service.requests == []


@pytest.mark.parametrize(
    ("package", "arguments", "status"),
    [
        ("websockets", ["transcribe"], 0),
        ("sounddevice", ["transcribe"], 0),
        ("pydub", ["transcribe"], 0),
        ("audioop", ["transcribe"], 0),
        ("pocketsphinx", ["transcribe", "-p", "local"], 13),
        ("pydub", ["transcribe", "--normalize"], 13),
    ],
)
def test_k10_k11_a_package_that_is_missing_stops_only_what_needs_it(
    welcome: Path, package: str, arguments: list[str], status: int
) -> None:
    blocker = (
        f"import sys\nsys.modules[{package!r}] = None\nfrom asrcli.__main__ import main\nmain()\n"
    )
    ran = run(*arguments, welcome, command=[sys.executable, "-c", blocker])

    assert ran.status == status, ran.err
    if status == 13:
        assert package in ran.err


# --- N, P: the way to the service -------------------------------------------------------------


def test_n01_a_host_that_does_not_exist(welcome: Path) -> None:
    env = {"DASHSCOPE_API_KEY": hosts.KEY, "DASHSCOPE_HTTP_BASE_URL": "https://nope.invalid/api/v1"}

    ran = run("transcribe", "--retries", "0", welcome, env=env)

    assert_told(ran, 6, "nope.invalid")


def test_n02_a_port_that_nobody_listens_on(welcome: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api/v1"
    env = {"DASHSCOPE_API_KEY": hosts.KEY, "DASHSCOPE_HTTP_BASE_URL": url}

    ran = run("transcribe", "--retries", "1", welcome, env=env)

    assert_told(ran, 6, "127.0.0.1", str(port))


def test_n17_a_socks_proxy_without_its_package(welcome: Path) -> None:
    blocker = (
        "import sys\nsys.modules['socksio'] = None\nfrom asrcli.__main__ import main\nmain()\n"
    )
    env = {"DASHSCOPE_API_KEY": hosts.KEY, "ALL_PROXY": "socks5://127.0.0.1:9"}

    ran = run("transcribe", welcome, env=env, command=[sys.executable, "-c", blocker])

    assert_told(ran, 2, "ALL_PROXY", "asrcli[socks]")


def test_n18_a_proxy_that_is_none(welcome: Path) -> None:
    env = {"DASHSCOPE_API_KEY": hosts.KEY, "ALL_PROXY": "ftp://x"}

    assert_told(run("transcribe", welcome, env=env), 2, "ALL_PROXY")


def test_p01_a_certificate_that_nobody_vouches_for(welcome: Path, tmp_path: Path) -> None:
    import ssl

    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    service = DashScope()
    with serve(service, tls=context) as server:
        env = {"DASHSCOPE_API_KEY": hosts.KEY, "DASHSCOPE_HTTP_BASE_URL": server.url}
        refused = run("transcribe", welcome, env=env)
        trusted = run("transcribe", "--ca-bundle", bundle, welcome, env=env)
    service.close()

    assert_told(refused, 6, "--ca-bundle")
    assert "verify" not in refused.err.lower().replace("verified", "")
    assert trusted.out == WELCOME.text + "\n"


class Elsewhere(Emulator):
    """A second host that should never be asked."""

    name = "elsewhere"

    def answer(self, request: Received) -> httpx.Response:
        return httpx.Response(200, json={})


@pytest.mark.parametrize("status", [301, 302, 307])
def test_p23_x01_a_call_with_a_key_does_not_follow_a_redirect(
    onemin: Served[OneMin], welcome: Path, status: int
) -> None:
    other = Elsewhere()
    with serve(other) as server:
        onemin.service.failures.append(onemin_errors.redirect(f"{server.url}/api/assets", status))
        ran = run("transcribe", welcome, env=onemin.env)

    assert_told(ran, 9, "redirected", "--base-url")
    assert other.requests == []


# --- S: what services answer ------------------------------------------------------------------


def test_s07_a_refusal_is_told_once_and_not_tried_again(
    qwen: Served[DashScope], welcome: Path
) -> None:
    qwen.service.failures.append(faults.data_inspection_failed())

    ran = run("transcribe", welcome, env=qwen.env)

    assert_told(ran, 9, "DataInspectionFailed")
    assert len(qwen.service.requests) == 1


def test_s08_a_refused_key_stops_the_run_at_once(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n}.wav" for n in range(20)]
    for path in files:
        path.write_bytes(welcome.read_bytes())

    ran = run("transcribe", "-j", "1", *files, env=qwen.env | {"DASHSCOPE_API_KEY": "sk-wrong-key"})

    assert ran.status == 4
    assert "sk-wrong-key" not in ran.err
    assert "refused" in ran.err or "Invalid API-key" in ran.err
    assert len(qwen.service.requests) == 1
    assert "not begun" in ran.err


def test_s09_a_key_that_is_refused_midway_keeps_what_was_finished(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    files = [r.path for r in RECORDINGS[:6]]
    qwen.service.failures.extend([None, None, faults.invalid_key()])

    ran = run("transcribe", "-j", "1", "-o", tmp_path / "out", *files, env=qwen.env)

    assert ran.status == 4
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert len(qwen.service.requests) == 3


def test_s10_a_model_that_is_not_allowed(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.failures.append(faults.model_access_denied())

    assert_told(run("transcribe", welcome, env=qwen.env), 4, "Model.AccessDenied")


@pytest.mark.parametrize("fault", [faults.arrears(), faults.billing(), faults.free_tier_only()])
def test_s11_an_account_with_nothing_left_stops_the_run(
    qwen: Served[DashScope], welcome: Path, fault: object
) -> None:
    qwen.service.failures.append(fault)  # type: ignore[arg-type]

    assert_told(run("transcribe", welcome, env=qwen.env), 5)
    assert len(qwen.service.requests) == 1


def test_s11_credits_that_are_used_up_at_onemin(onemin: Served[OneMin], welcome: Path) -> None:
    onemin.service.failures.extend([None, onemin_errors.insufficient_credits()])

    ran = run("transcribe", welcome, env=onemin.env)

    assert_told(ran, 5, "credits")


def test_s16_an_error_inside_a_200_is_a_failure(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.failures.extend([faults.failed_in_ok()] * 9)

    ran = run("transcribe", "--retries", "0", welcome, env=qwen.env)

    assert_told(ran, 9, "InternalError.Algo")
    assert ran.out == ""


def test_p19_a_web_page_is_no_transcript(qwen: Served[DashScope], welcome: Path) -> None:
    qwen.service.failures.append(faults.html(200))

    ran = run("transcribe", welcome, env=qwen.env)

    assert_told(ran, 9, "web page")
    assert "<html" not in ran.err


# --- T: streams -------------------------------------------------------------------------------


def shell(script: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script.replace("asrcli", COMMAND[0])],
        env=environment(**env), cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("asrcli transcribe welcome.wav >&-", 8, "closed"),
        ("asrcli transcribe welcome.wav >/dev/full", 8, "no space left"),
        ("asrcli models >/dev/full", 8, "no space left"),
        ("asrcli transcribe welcome.wav 2>&-", 0, ""),
        ("asrcli transcribe welcome.wav 2>/dev/full", 0, ""),
        ("asrcli transcribe nowhere.wav 2>&-", 7, ""),
        ("asrcli transcribe - <&-", 7, "closed"),
        ("asrcli transcribe - </dev/null", 7, "empty"),
        ("asrcli transcribe </dev/null", 2, "nothing to transcribe"),
    ],
)
def test_t02_to_t04_t12_closed_and_full_streams(
    welcome: Path, script: str, status: int, said: str
) -> None:
    done = shell(script, {}, welcome.parent)

    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_t02_a_closed_output_is_found_before_anything_is_paid_for(
    qwen: Served[DashScope], welcome: Path
) -> None:
    shell("asrcli transcribe welcome.wav >&-", qwen.env, welcome.parent)

    assert qwen.service.requests == []


def test_t05_t06_pipes_get_no_escapes_and_no_animation(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = run("transcribe", "-v", welcome, env=qwen.env | {"TERM": "xterm-256color"})

    assert "\x1b" not in ran.out + ran.err
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize(
    ("env", "flag", "colored"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, [], True),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({"FORCE_COLOR": "1"}, ["--color", "never"], False),
    ],
)
def test_t07_color_by_flag_then_no_color_then_force_color(
    env: dict[str, str], flag: list[str], colored: bool
) -> None:
    ran = run("transcribe", *flag, "nowhere.wav", env={"NO_COLOR": "", "TERM": "xterm", **env})

    assert ("\x1b[" in ran.err) is colored


@pytest.mark.parametrize(
    "env",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
)
def test_t09_data_is_utf_8_in_every_locale_and_notices_never_fail(
    welcome: Path, env: dict[str, str]
) -> None:
    path = welcome.rename(welcome.parent / "wörd-你好.wav")

    ran = run("transcribe", "-f", "json", path, env=env)
    missing = run("transcribe", "schön.wav", env=env, cwd=path.parent)

    assert ran.status == 0, ran.err
    assert "你好" in ran.out
    assert missing.status == 7
    assert "sch" in missing.err


# --- X: secrets and foreign text --------------------------------------------------------------


def test_x02_a_key_that_the_service_echoes_is_blotted_out(
    onemin: Served[OneMin], welcome: Path
) -> None:
    onemin.service.failures.append(onemin_errors.echoing_headers())

    ran = run("transcribe", "-v", "--debug", welcome, env=onemin.env)

    assert ran.status != 0
    assert ONEMIN_KEY not in ran.err


def test_x03_a_bug_shows_no_key_and_says_how_to_report_it(welcome: Path) -> None:
    breaker = (
        "import asrcli.media.probe as p\n"
        "def broken(*a, **k):\n    raise ZeroDivisionError('sk-0123456789abcdef0123456789abcdef')\n"
        "p.probe = broken\nfrom asrcli.__main__ import main\nmain()\n"
    )
    env = {"DASHSCOPE_API_KEY": hosts.KEY}
    plain = run("transcribe", welcome, env=env, command=[sys.executable, "-c", breaker])
    debug = run("transcribe", "--debug", welcome, env=env, command=[sys.executable, "-c", breaker])

    assert plain.status == debug.status == 1
    assert "report" in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
    assert hosts.KEY not in plain.err + debug.err
    assert str(welcome.parent) not in plain.err


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc")
def test_x04_no_key_is_in_the_list_of_processes(qwen: Served[DashScope], welcome: Path) -> None:
    seen: list[bytes] = []

    def look(_: Received) -> httpx.Response:
        seen.extend(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
        return httpx.Response(400, json={"code": "Arrearage", "message": "x"})

    qwen.service.failures.append(look)
    run("transcribe", welcome, env=qwen.env)

    assert any(b"transcribe" in line for line in seen)
    assert not any(hosts.KEY.encode() in line for line in seen)
    assert "--api-key" not in run("transcribe", "--help").out


HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b1md\u202ee[red]f[/x]\rg"


def test_x06_x07_hostile_text_is_harmless_on_the_way_to_a_terminal(
    qwen: Served[DashScope], welcome: Path
) -> None:
    body = {
        "output": {
            "choices": [
                {"finish_reason": "stop", "message": {"content": [{"text": HOSTILE}]}},
            ]
        },
        "request_id": "r",
    }
    refusal = {"code": "InvalidParameter", "message": HOSTILE, "request_id": "r"}
    qwen.service.failures.extend(
        [httpx.Response(200, json=body), httpx.Response(400, json=refusal)]
    )

    text = run("transcribe", welcome, env=qwen.env)
    error = run("transcribe", "--no-cache", welcome, env=qwen.env)

    for shown in (text.out, error.err):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown.replace("\n", ""))
        assert "[red]" in shown
    assert error.status == 9


def test_x15_no_word_of_a_transcript_is_on_standard_error(
    qwen: Served[DashScope], welcome: Path
) -> None:
    ran = run("transcribe", "-v", "--debug", welcome, env=qwen.env)

    assert WELCOME.text not in ran.err
    assert "computer" not in ran.err


def test_x17_a_file_name_cannot_write_headers(onemin: Served[OneMin], tmp_path: Path) -> None:
    path = tmp_path / 'x"\r\nX-Evil: yes\r\n.wav'
    path.write_bytes(WELCOME.path.read_bytes())

    ran = run("transcribe", path, env=onemin.env)

    assert ran.out == WELCOME.text + "\n"
    (part,) = onemin.service.requests[0].form
    assert re.fullmatch(r"audio[-\w]*\.wav", part.filename or "")
    assert not any("evil" in request.headers for request in onemin.service.requests)


# --- the rest ---------------------------------------------------------------------------------


def test_offline_opens_no_connection(qwen: Served[DashScope], welcome: Path) -> None:
    ran = run("transcribe", "--offline", welcome, env=qwen.env)
    local = run("transcribe", "--offline", "-p", "local", welcome)

    assert_told(ran, 2, "--offline")
    assert qwen.server.connections_opened == 0
    assert local.out == WELCOME.heard + "\n"


def test_memory_stays_small_for_a_long_recording(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = sparse_wav(tmp_path / "silence.wav", seconds=3600)

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    ran = run("transcribe", "-p", "local", path)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    assert (ran.status, ran.out) == (0, "")
    assert most <= max(before, 400_000)


def test_a_recording_is_never_overwritten_by_its_own_result(
    qwen: Served[DashScope], welcome: Path
) -> None:
    before = welcome.read_bytes()

    ran = run("transcribe", welcome, "-o", welcome, "--overwrite", env=qwen.env)

    assert_told(ran, 2, "itself")
    assert welcome.read_bytes() == before
    assert qwen.service.requests == []


@pytest.mark.parametrize(
    "arguments",
    [[""], ["--files-from", ""], ["x.wav", "-o", ""], ["x.wav", "--prompt", "@"]],
    ids=["input", "list", "output", "prompt"],
)
def test_an_empty_name_is_no_name(
    qwen: Served[DashScope], welcome: Path, arguments: list[str]
) -> None:
    welcome.rename(welcome.parent / "x.wav")

    assert_told(run("transcribe", *arguments, env=qwen.env, cwd=welcome.parent), 2)
    assert qwen.service.requests == []


@pytest.mark.skipif(os.name == "nt", reason="needs links and modes of POSIX")
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "device", "long", "read-only"])
def test_an_output_that_cannot_be_written_is_found_before_anything_is_sent(
    qwen: Served[DashScope], welcome: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "out.txt"
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path = tmp_path / "out"
        (path / "welcome.txt").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/full")
    elif kind == "long":
        path = tmp_path / ("x" * 256)
    else:
        path.write_text("mine", "utf-8")
        path.chmod(0o444)

    ran = run("transcribe", welcome, "-o", path, "--overwrite", env=qwen.env)

    assert_told(ran, 8)
    assert qwen.service.requests == []


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("asrcli transcribe welcome.wav -o /dev/stdout | cat", 0),
        ("asrcli --version | true; exit ${PIPESTATUS[0]}", None),
        ("asrcli --version >/dev/full", 8),
        ("asrcli --help >/dev/full", 8),
        ("cd gone && rmdir ../gone && asrcli transcribe a.wav", 7),
        ("asrcli transcribe $(printf '%04100d' 0)", 7),
        ("asrcli transcribe welcome.wav -o $(printf '%0256d' 0)", 8),
        ("printf 'a\\0b\\n' | asrcli transcribe --files-from -", 2),
        ("asrcli transcribe welcome.wav --timeout nan", 2),
        ("asrcli transcribe welcome.wav --rpm inf", 2),
        ("asrcli transcribe - --files-from - <welcome.wav", 2),
        ("asrcli transcribe welcome.wav --prompt @/dev/zero", 2),
    ],
)
def test_odd_requests_end_with_their_own_status(
    welcome: Path, script: str, status: int | None
) -> None:
    (welcome.parent / "gone").mkdir()

    done = shell(script, {}, welcome.parent)

    assert done.returncode in ({0, 141} if status is None else {status}), done.stderr
    assert "Traceback" not in done.stderr
    assert "a bug" not in done.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["help"], "asrcli --help"),
        (["help", "upload"], "asrcli upload --help"),
        (["version"], "asrcli --version"),
        (["talk.MP3"], "asrcli transcribe talk.MP3"),
        (["my talk.ogg", "-f", "srt"], "asrcli transcribe 'my talk.ogg'"),
        (["https://host.example/x"], "asrcli transcribe https://host.example/x"),
        (["/dev/null"], "asrcli transcribe /dev/null"),
        (["nothing"], "asrcli --help"),
    ],
)
def test_words_that_are_no_command_are_refused_with_what_was_meant(
    words: list[str], hint: str
) -> None:
    ran = run(*words)

    assert (ran.status, ran.out) == (2, "")
    assert f"`{hint}`" in ran.err
    assert len(ran.err.splitlines()) == 2


def test_a_provider_without_regions_says_who_has_which(welcome: Path) -> None:
    ran = run("transcribe", "--region", "cn", welcome)

    assert ran.status == 2
    assert "qwen" in ran.err
    assert "intl, cn, us, hk, eu, jp" in ran.err


def test_a_recording_that_is_too_long_to_be_normalized_is_refused(
    qwen: Served[DashScope], tmp_path: Path
) -> None:
    path = silence(301.0, tmp_path / "long.wav")
    ran = run("transcribe", "-m", "qwen3-asr-flash", "--normalize", path, env=qwen.env)

    assert ran.status == 7, ran.err
    assert "too long to be normalized" in ran.err
