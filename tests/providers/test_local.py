from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from asrcli.errors import (
    LanguageError,
    MissingHelperError,
    ServiceError,
    UsageError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import API, Mode, Model, Options, Reference
from asrcli.providers.local import Local, available
from asrcli.providers.local.engine import Heard
from asrcli.providers.local.lines import segments
from asrcli.providers.local.pool import Pool
from asrcli.transcript import Timing
from tests.recordings import concatenate, cut, noise, recording, silence

MODEL = Model("pocketsphinx", "local", "pocketsphinx", Mode.BATCH, API.EMBEDDED)
NUMBER = recording("number")
BRIDGE = recording("bridge")


def audio(path: Path) -> AudioFile:
    info = soundfile.info(path)
    container, codec = path.suffix[1:], "pcm_s16le"
    return AudioFile(
        path=path,
        name=path.name,
        container=container,
        mime_type=f"audio/{container}",
        codec=codec,
        size=path.stat().st_size,
        duration=info.duration,
        channels=info.channels,
        sample_rate=info.samplerate,
    )


def pcm(path: Path) -> bytes:
    samples, _ = soundfile.read(path, dtype="int16")
    return samples.astype("<i2").tobytes()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    """An engine that has decoded a clip or two: two workers at most."""
    local = Local(workers=2)
    yield local
    local.close()


@pytest.fixture
def messages(tmp_path: Path) -> Path:
    """Three clips with pauses between them: seconds 0, 4.96 and 12.02."""
    path = tmp_path / "messages.wav"
    return concatenate([NUMBER.path, BRIDGE.path, NUMBER.path], path, gap=3.0)


# --- what is heard ----------------------------------------------------------------------------


def test_a_clip_is_recognized_with_the_times_of_its_words(local: Local) -> None:
    transcript = local.transcribe(audio(NUMBER.path), MODEL, Options(language="en"))

    (segment,) = transcript.segments
    assert segment.text == NUMBER.heard
    assert segment.timing is Timing.MODEL
    assert transcript.provider == "local"
    assert transcript.language == "en"
    assert transcript.duration == pytest.approx(NUMBER.seconds)
    assert len(segment.words) == len(NUMBER.words)
    for word, spoken in zip(segment.words, NUMBER.words, strict=True):
        assert word.start == pytest.approx(spoken.start, abs=0.15)
        assert word.end == pytest.approx(spoken.end, abs=0.15)
        assert 0 <= (word.confidence or -1) <= 1
    assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)


def test_utterances_come_in_the_order_of_time_and_the_text_grows(
    local: Local, messages: Path
) -> None:
    heard: list[str] = []

    transcript = local.transcribe(audio(messages), MODEL, Options(), on_text=heard.append)

    texts = [NUMBER.heard, BRIDGE.heard, NUMBER.heard]
    assert [segment.text for segment in transcript.segments] == texts
    assert heard == [" ".join(texts[:count]) for count in (1, 2, 3)]
    starts = [0, NUMBER.seconds + 3, NUMBER.seconds + 3 + BRIDGE.seconds + 3]
    first_words = [NUMBER.words[0], BRIDGE.words[0], NUMBER.words[0]]
    for segment, start, word in zip(transcript.segments, starts, first_words, strict=True):
        assert segment.start == pytest.approx(start + word.start, abs=0.15)


def test_two_files_at_once_share_the_workers(local: Local, tmp_path: Path) -> None:
    one = concatenate([NUMBER.path, NUMBER.path], tmp_path / "one.wav", gap=3.0)
    other = concatenate([BRIDGE.path, NUMBER.path], tmp_path / "other.wav", gap=3.0)
    texts: dict[Path, str] = {}

    def run(path: Path) -> None:
        texts[path] = local.transcribe(audio(path), MODEL, Options()).text

    threads = [threading.Thread(target=run, args=(path,)) for path in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert texts[one] == f"{NUMBER.heard} {NUMBER.heard}"
    assert texts[other] == f"{BRIDGE.heard} {NUMBER.heard}"


@pytest.mark.parametrize("kind", ["silence", "noise", "moment"])
def test_where_nobody_speaks_nothing_is_heard(local: Local, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.wav"
    match kind:
        case "silence":
            silence(5, path)
        case "noise":
            noise(5, path, level=-20)
        case _:
            cut(NUMBER.path, path, start=0.5, end=0.56)

    transcript = local.transcribe(audio(path), MODEL, Options())

    assert transcript.segments == ()
    assert transcript.text == ""


# --- what is refused --------------------------------------------------------------------------


def test_another_language_is_refused(local: Local) -> None:
    with pytest.raises(LanguageError, match="'zh'"):
        local.transcribe(audio(NUMBER.path), MODEL, Options(language="zh"))


def test_nothing_is_kept_and_nothing_fetched(local: Local) -> None:
    with pytest.raises(UsageError, match="keeps nothing"):
        local.upload(audio(NUMBER.path), MODEL)
    with pytest.raises(UsageError, match=r"not https://example\.com/a\.wav"):
        local.transcribe(Reference(None, "https://example.com/a.wav"), MODEL, Options())


def test_without_a_wheel_of_the_engine_the_reason_and_a_remedy_are_given() -> None:
    problem = available(find=lambda _: None)
    assert problem is not None
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in problem

    local = Local(problem=lambda: problem)
    with pytest.raises(MissingHelperError, match="no wheel") as raised:
        local.transcribe(audio(NUMBER.path), MODEL, Options())

    assert raised.value.exit_status == 13
    assert "3.13" in (raised.value.hint or "")
    assert available() is None


# --- the workers ------------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1)
    yield pool
    pool.close()


def test_a_worker_does_not_mind_ctrl_c(pool: Pool) -> None:
    pool.submit(b"").result()
    (worker,) = pool.workers

    if sys.platform != "win32":
        os.kill(worker, signal.SIGINT)
        assert os.getpgid(worker) != os.getpgid(0)

    assert [word.text for word in pool.submit(pcm(NUMBER.path)).result()] == NUMBER.heard.split()
    assert pool.workers == [worker]


def test_no_worker_outlives_close() -> None:
    pool = Pool(2)
    futures = [pool.submit(pcm(NUMBER.path)) for _ in range(2)]
    futures[0].result()
    workers = pool.workers
    long = [pool.submit(pcm(BRIDGE.path) * 20) for _ in range(4)]

    pool.close()

    assert workers
    assert pool.workers == []
    for worker in workers if sys.platform != "win32" else ():
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    for future in long:
        with pytest.raises(ServiceError):
            future.result()
    with pytest.raises(ServiceError, match="stopped"):
        pool.submit(b"")


CRASHES = {
    "at once": ("raise SystemExit(3)", "exit status 3"),
    "when asked": (
        "import sys; sys.stdin.buffer.read(2); raise SystemExit(4)",
        "exit status 4",
    ),
    "by a signal": (
        "import os, signal, sys; sys.stdin.buffer.readline(); os.kill(os.getpid(), signal.SIGTERM)",
        "signal 15",
    ),
    "half an answer": (
        "import os, sys; sys.stdin.buffer.readline(); os.write(1, bytes([9, 0, 0, 0, 1]))",
        "exit status 0",
    ),
    "babble": (
        "import os, sys; sys.stdin.buffer.readline(); os.write(1, bytes([2, 0, 0, 0, 0, 0]))",
        "no answer",
    ),
}


@pytest.mark.parametrize("how", CRASHES)
def test_a_worker_that_crashes_is_an_error_and_no_hang(how: str) -> None:
    program, fate = CRASHES[how]
    pool = Pool(1, command=(sys.executable, "-c", program))

    with pytest.raises(ServiceError, match=fate):
        pool.submit(pcm(NUMBER.path)).result(timeout=60)
    with pytest.raises(ServiceError, match=fate):
        pool.submit(pcm(NUMBER.path)).result(timeout=60)

    assert pool.workers == []
    pool.close()


def test_a_worker_that_cannot_start_is_an_error() -> None:
    pool = Pool(1, command=("/nonexistent/python",))

    with pytest.raises(ServiceError, match="cannot start"):
        pool.submit(b"").result(timeout=60)
    pool.close()


def test_an_engine_that_fails_says_how(tmp_path: Path) -> None:
    broken = tmp_path / "pocketsphinx.py"
    broken.write_text(
        "class Decoder:\n    def __init__(self, **_):\n        raise OSError('no model')"
    )
    start = (
        "import json, sys; sys.stdin.buffer.readline();"
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}];"
        "from asrcli.providers.local.worker import main; main()"
    )
    pool = Pool(1, command=(sys.executable, "-c", start))

    with pytest.raises(ServiceError, match="OSError: no model"):
        pool.submit(bytes(3_200)).result(timeout=60)
    pool.close()


PARENT = """
import sys
from asrcli.providers.local.pool import _Worker
busy = "import sys; sys.path[:] = %r;" \\
    "from asrcli.providers.local import worker; worker._die_with_parent();" \\
    "sys.stdout.write('x'); sys.stdout.flush()\\nwhile True: pass" % (sys.path,)
worker = _Worker((sys.executable, "-c", busy))
worker._process.stdout.read(1)
print(worker.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="waits with pidfd_open")
def test_a_worker_dies_with_its_parent_in_the_middle_of_its_work() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert not select.select([worker], [], [], 0)[0]
            parent.kill()
            assert select.select([worker], [], [], 60)[0], "it is still there"
        finally:
            os.close(worker)


MAIN = """
import pathlib, sys
from asrcli.media.audio import AudioFile
from asrcli.providers.base import API, Mode, Model, Options
from asrcli.providers.local import Local
path = pathlib.Path(sys.argv[1])
audio = AudioFile(path, path.name, "wav", "audio/wav", "pcm_s16le", 1, 1.0, 1, 16000)
model = Model("pocketsphinx", "local", "pocketsphinx", Mode.BATCH, API.EMBEDDED)
local = Local(workers=2)
print(local.transcribe(audio, model, Options()).text)
"""


def test_any_program_can_use_it_and_its_streams_are_left_alone(tmp_path: Path) -> None:
    path = concatenate([NUMBER.path, NUMBER.path], tmp_path / "two.wav", gap=3.0)

    # Read from stdin and without a guard: a program that multiprocessing could not run again.
    # It does not call close() either.
    done = subprocess.run(
        [sys.executable, "-", str(path)],
        input=MAIN,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout == f"{NUMBER.heard} {NUMBER.heard}\n"
    assert done.stderr == ""


# --- lines ------------------------------------------------------------------------------------


def spoken(*spans: tuple[float, float]) -> list[Heard]:
    return [Heard(f"w{i}", start, end, 0.5) for i, (start, end) in enumerate(spans)]


def test_words_are_placed_in_the_recording_and_stay_inside_their_utterance() -> None:
    (segment,) = segments(spoken((0.25, 0.5), (0.5, 1.51)), start=10.0, end=11.5)

    assert [(word.start, word.end) for word in segment.words] == [(10.25, 10.5), (10.5, 11.5)]
    assert segment.confidence == 0.5


def test_of_no_words_there_is_no_line() -> None:
    assert segments([], start=1.0, end=2.0) == []


def test_a_line_of_seven_seconds_is_left_alone_even_with_a_pause() -> None:
    assert len(segments(spoken((0, 3), (4, 7)), start=0, end=7)) == 1


def test_a_longer_line_ends_at_its_longest_pause() -> None:
    lines = segments(spoken((0, 2), (2.6, 5), (6, 8), (8, 8.5)), start=0, end=9)

    assert [line.text for line in lines] == ["w0 w1", "w2 w3"]


def test_up_to_ten_seconds_without_a_pause_are_one_line() -> None:
    assert len(segments(spoken((0, 5), (5.4, 9.9)), start=0, end=10)) == 1


def test_no_line_is_longer_than_ten_seconds_where_nobody_pauses() -> None:
    words = spoken(*[(i / 2, i / 2 + 0.5) for i in range(50)])

    lines = segments(words, start=0, end=25)

    assert all((line.end or 0) - (line.start or 0) <= 10 for line in lines)
    assert all(len(line.words) >= 6 for line in lines)
    assert " ".join(line.text for line in lines) == " ".join(word.text for word in words)
