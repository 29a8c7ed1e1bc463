"""A WAV file that grows, and is whole at every moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrcli.errors import OutputError, OutputExistsError
from asrcli.media.recorder import Recorder

ROOT = Path(__file__).parents[2]
SECOND = (np.arange(16_000) % 200 / 256).astype(np.float32)


def read(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16_000
    return samples  # type: ignore[no-any-return]


def test_what_was_written_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    with Recorder(path) as recorder:
        recorder.write(SECOND)
        recorder.write(SECOND[:100])

    assert np.array_equal(read(path), np.concatenate([SECOND, SECOND[:100]]))
    assert soundfile.info(path).subtype == "PCM_16"


def test_the_file_is_whole_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    recorder = Recorder(path)
    empty = len(read(path))
    for _ in range(15):
        recorder.write(SECOND[:1_600])

    assert empty == 0
    assert np.array_equal(read(path), np.tile(SECOND[:1_600], 10))
    assert recorder.seconds == 1.5
    recorder.close()
    assert len(read(path)) == 24_000


def test_a_very_large_file_becomes_rf64(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    with Recorder(path, wav_limit=50_000) as recorder:
        recorder.write(SECOND)
        before = path.read_bytes()[:4]
        recorder.write(SECOND)

    assert before == b"RIFF"
    assert path.read_bytes()[:4] == b"RF64"
    assert np.array_equal(read(path), np.tile(SECOND, 2))


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    path.write_text("mine")

    with pytest.raises(OutputExistsError):
        Recorder(path)

    assert path.read_text() == "mine"


def test_a_file_that_is_there_is_replaced_if_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    path.write_bytes(bytes(100_000))
    with Recorder(path, overwrite=True) as recorder:
        recorder.write(SECOND[:100])

    assert len(read(path)) == 100
    assert path.stat().st_size == 80 + 200


@pytest.mark.parametrize("overwrite", [False, True])
def test_links_are_not_followed(tmp_path: Path, *, overwrite: bool) -> None:
    target = tmp_path / "target"
    link = tmp_path / "heard.wav"
    link.symlink_to(target)

    with pytest.raises(OutputError, match="it is a symbolic link"):
        Recorder(link, overwrite=overwrite)

    assert not target.exists()


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OutputError, match="it is a folder"):
        Recorder(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="it is a device or a pipe"):
        Recorder(tmp_path / "pipe", overwrite=True)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/heard\.wav: the folder does not exist"):
        Recorder(tmp_path / "no" / "heard.wav")


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from asrcli.errors import OutputError
from asrcli.media.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, 50_001))
with Recorder(Path(sys.argv[1])) as recorder:
    for number in range(5):
        try:
            recorder.write(np.full(16_000, 0.25, dtype=np.float32))
        except OutputError as error:
            print(number, error.exit_status, error)
print(recorder.failed, recorder.seconds)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_full_disk_is_told_once_and_the_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    first, last = done.stdout.splitlines()
    assert first.startswith(f"1 8 cannot write {path}: file too large")
    assert path.stat().st_size == 80 + 2 * 24_960
    assert last == f"True {24_960 / 16_000}"
    assert np.array_equal(read(path), np.full(24_960, 0.25, dtype=np.float32))
