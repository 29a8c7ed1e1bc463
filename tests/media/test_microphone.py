"""The microphone: a real one, heard through PortAudio, and drivers that misbehave."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from asrcli.errors import MicrophoneError, MissingHelperError, UsageError
from asrcli.media.devices import Device, choose, devices
from asrcli.media.microphone import Microphone
from asrcli.media.pcm import pcm16
from tests.media.likeness import likeness
from tests.media.sound_server import NEEDED, SoundServer, sound_server
from tests.recordings import recording

ROOT = Path(__file__).parents[2]
LISTENER = Path(__file__).with_name("listener.py")
SPOKEN = recording("number")


# --- a real one -------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[SoundServer]:
    if not sys.platform.startswith("linux") or not all(map(shutil.which, NEEDED)):
        pytest.skip("needs PulseAudio")
    with sound_server() as running:
        yield running


class Listener:
    """`listener.py` as a process: `with` waits until it listens."""

    def __init__(self, server: SoundServer, folder: Path, *arguments: str) -> None:
        self._target = folder / "heard.f32"
        self._process = subprocess.Popen(
            [sys.executable, str(LISTENER), str(self._target), *arguments],
            env={**server.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Listener:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> str:
        """Ask it to stop; returns how it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write("stop\n")
        self._process.stdin.flush()
        return self.end()

    def end(self) -> str:
        """Wait until it ends by itself; returns how."""
        return self._process.communicate(timeout=30)[0].strip()

    @property
    def status(self) -> int | None:
        return self._process.returncode

    def heard(self) -> Any:
        return np.fromfile(self._target, dtype=np.float32)


def test_speech_is_recorded_bit_by_bit(server: SoundServer, tmp_path: Path) -> None:
    original, _ = soundfile.read(SPOKEN.path, dtype="float32")

    with Listener(server, tmp_path, "16000") as listener:
        server.play(SPOKEN.path)
        ended = listener.stop()

    assert ended == "ended 16000 0 0.0"
    assert likeness(listener.heard(), original) > 0.99
    assert pcm16(original).strip(b"\0") in pcm16(listener.heard())


def test_speech_is_recorded_at_another_rate(server: SoundServer, tmp_path: Path) -> None:
    import soxr

    original, _ = soundfile.read(SPOKEN.path, dtype="float32")

    with Listener(server, tmp_path, "24000", "vmic_monitor") as listener:
        server.play(SPOKEN.path)
        ended = listener.stop()

    assert ended == "ended 24000 0 0.0"
    assert likeness(soxr.resample(listener.heard(), 24_000, 16_000), original) > 0.99


def test_unplugging_ends_with_an_error_and_keeps_what_was_heard(
    server: SoundServer, tmp_path: Path
) -> None:
    original, _ = soundfile.read(SPOKEN.path, dtype="float32")

    with Listener(server, tmp_path, "16000") as listener:
        server.play(SPOKEN.path)
        server.unplug()
        ended = listener.end()

    assert ended.startswith("MicrophoneError 12 default is gone")
    heard = listener.heard()
    assert len(heard) > len(original) / 2
    assert likeness(heard, original[: len(original) // 2]) > 0.99


def test_a_sound_server_that_dies_ends_with_an_error(server: SoundServer, tmp_path: Path) -> None:
    with Listener(server, tmp_path, "16000") as listener:
        server.die()
        ended = listener.end()

    assert ended.startswith("MicrophoneError 12")
    assert len(listener.heard()) >= 1_600


def test_a_sound_server_that_freezes_ends_with_an_error_and_so_does_the_program(
    server: SoundServer, tmp_path: Path
) -> None:
    with Listener(server, tmp_path, "16000", "--watchdog=0.5") as listener:
        server.freeze()
        ended = listener.end()

    assert ended.startswith("MicrophoneError 12 default has sent nothing for 0.5 s")
    assert listener.status == 0


LIST = """
from asrcli.media.devices import devices
for device in devices():
    print(device.name, device.host_api, device.loopback, device.default)
"""


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_marks_monitors_and_the_default(server: SoundServer) -> None:
    lines = run(LIST, dict(server.environment)).splitlines()

    assert "vmic_monitor ALSA True False" in lines
    assert "default ALSA False True" in lines


MISSING = """
import sys
{before}
from asrcli.errors import MissingHelperError
from asrcli.media.devices import devices
try:
    devices()
except MissingHelperError as error:
    print(error.exit_status, error, "|", error.hint)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the others bring their PortAudio")
def test_a_machine_without_portaudio_is_told_how_to_get_it(tmp_path: Path) -> None:
    # The loader finds this one first.
    (tmp_path / "libportaudio.so.2").write_text("no library")

    said = run(MISSING.format(before=""), {"PATH": "", "LD_LIBRARY_PATH": str(tmp_path)})

    assert said.startswith("13 the microphone needs the library PortAudio")
    assert "apt install libportaudio2" in said


def test_a_missing_package_is_named() -> None:
    said = run(MISSING.format(before="sys.modules['sounddevice'] = None"), {})

    assert said.startswith("13 the microphone needs the Python package sounddevice")
    assert "pip install sounddevice" in said


# --- drivers that misbehave -------------------------------------------------------------------


class PortAudioError(Exception):
    """As sounddevice's: what failed, and its number."""


@dataclass
class Stream:
    """A stream that a test calls back from."""

    options: dict[str, Any]
    latency: float = 0.0
    active: bool = True
    closed: bool = False
    sticks: threading.Event | None = None

    def start(self) -> None:
        pass

    def abort(self) -> None:
        if self.sticks is not None:
            self.sticks.wait(30)
        self.active = False

    def close(self) -> None:
        self.closed = True

    def hear(self, samples: list[int], *, overflow: bool = False) -> None:
        data = np.array(samples, dtype="<i2").tobytes()
        frames = len(samples) // self.options["channels"]
        status = SimpleNamespace(input_overflow=overflow)
        self.options["callback"](data, frames, None, status)

    def end(self) -> None:
        self.active = False
        self.options["finished_callback"]()


@dataclass
class Driver:
    """`sounddevice`, with one device, that takes only some rates and numbers of channels."""

    takes: Callable[[int, int], bool] = lambda rate, channels: True
    failure: PortAudioError | None = None
    channels: int = 1
    streams: list[Stream] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    PortAudioError = PortAudioError

    @property
    def default(self) -> Any:
        return SimpleNamespace(device=(0, -1))

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "name": "USB microphone",
                "hostapi": 0,
                "max_input_channels": self.channels,
                "default_samplerate": 48_000.0,
            },
            {
                "name": "Loudspeaker",
                "hostapi": 0,
                "max_input_channels": 0,
                "default_samplerate": 48_000.0,
            },
        ]

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def RawInputStream(self, **options: Any) -> Stream:  # noqa: N802 - as sounddevice's
        rate, channels = options["samplerate"], options["channels"]
        self.asked.append((rate, channels))
        if self.failure is not None:
            raise self.failure
        if not self.takes(rate, channels):
            raise PortAudioError("Error opening RawInputStream: Invalid sample rate", -9997)
        self.streams.append(Stream(options))
        return self.streams[-1]


def opened(driver: Driver, **options: Any) -> Microphone:
    device = choose(devices(portaudio=driver))
    microphone = Microphone(device, portaudio=driver, **options)
    microphone.open()
    return microphone


def test_only_devices_that_hear_are_listed() -> None:
    assert [device.name for device in devices(portaudio=Driver())] == ["USB microphone"]


def test_a_rate_that_is_refused_is_recorded_as_the_device_can_and_converted() -> None:
    driver = Driver(takes=lambda rate, channels: rate == 48_000)
    microphone = opened(driver)
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * time)
    for block in np.split((tone * 16_384).astype(int), 10):
        driver.streams[0].hear(block.tolist())
    microphone.stop()
    heard = np.concatenate(list(microphone.blocks()))

    assert driver.asked == [(16_000, 1), (48_000, 1)]
    assert microphone.native_rate == 48_000
    assert len(heard) == 16_000
    assert likeness(heard, tone[::3].astype(np.float32)) > 0.999


def test_two_channels_are_mixed() -> None:
    driver = Driver(channels=2)
    microphone = opened(driver)
    driver.streams[0].hear([16_384, 0, 0, -8_192])
    microphone.stop()

    assert np.concatenate(list(microphone.blocks())).tolist() == [0.25, -0.125]


def test_what_was_said_before_stop_but_comes_later_is_heard() -> None:
    driver = Driver()
    microphone = opened(driver, block_seconds=0.1)
    stream = driver.streams[0]
    stream.latency = 0.1
    stream.hear([1] * 1_600)
    blocks = microphone.blocks()
    next(blocks)
    microphone.stop()
    stream.hear([2] * 1_600)
    heard = [next(blocks)]
    stream.hear([3] * 1_600)
    stream.hear([4] * 1_600)
    heard += list(blocks)

    assert [round(block[0] * 32_768) for block in heard] == [2, 3]


def test_a_busy_device_is_an_error_that_lists_the_others() -> None:
    driver = Driver(failure=PortAudioError("Error opening RawInputStream: Device busy", -9985))

    with pytest.raises(
        MicrophoneError, match="USB microphone cannot be recorded from: Device"
    ) as e:
        opened(driver)

    assert e.value.hint == "There are: 0 USB microphone (ALSA)."
    assert driver.asked == [(16_000, 1)]


def test_a_device_that_takes_nothing_is_an_error() -> None:
    with pytest.raises(MicrophoneError, match="Invalid sample rate"):
        opened(Driver(takes=lambda rate, channels: False))


def test_a_device_that_goes_away_is_an_error_after_the_last_that_was_heard() -> None:
    driver = Driver()
    microphone = opened(driver)
    driver.streams[0].hear([16_384] * 100)
    driver.streams[0].end()
    blocks = microphone.blocks()

    assert next(blocks).tolist() == [0.5] * 100
    with pytest.raises(MicrophoneError, match="USB microphone is gone"):
        next(blocks)


def test_a_device_that_sends_nothing_is_an_error_after_a_while() -> None:
    times = iter(range(100))
    microphone = opened(Driver(), watchdog=3.0, clock=lambda: float(next(times)))

    with pytest.raises(MicrophoneError, match="has sent nothing for 3 s"):
        list(microphone.blocks())


def test_a_driver_that_does_not_return_is_left_behind() -> None:
    driver = Driver()
    times = iter(range(0, 1000, 10))
    microphone = opened(driver, clock=lambda: float(next(times)))
    stream = driver.streams[0]
    stream.sticks = threading.Event()
    with pytest.raises(MicrophoneError):
        list(microphone.blocks())

    microphone.close()

    assert not stream.closed
    stream.sticks.set()


def test_a_slow_reader_loses_the_oldest_and_it_is_counted() -> None:
    driver = Driver()
    microphone = opened(driver, block_seconds=0.1, kept_seconds=0.3)
    for number in range(1, 6):
        driver.streams[0].hear([number] * 1_600)
    microphone.stop()
    heard = list(microphone.blocks())

    assert [round(block[0] * 32_768) for block in heard][-1] == 5
    assert microphone.lost == pytest.approx(0.2, abs=0.11)
    assert sum(map(len, heard)) / 16_000 + microphone.lost == pytest.approx(0.5)


def test_overflows_of_the_system_are_counted() -> None:
    driver = Driver()
    microphone = opened(driver)
    driver.streams[0].hear([0] * 10, overflow=True)

    assert microphone.overflows == 1


def test_the_level_and_digital_silence_are_told() -> None:
    driver = Driver()
    microphone = opened(driver, block_seconds=0.1)
    blocks = microphone.blocks()
    driver.streams[0].hear([0] * 1_600)
    next(blocks)
    silent = microphone.level, microphone.only_zeros
    driver.streams[0].hear([16_384, -16_384] * 800)
    next(blocks)

    assert silent[0].peak == -120
    assert silent[1]
    assert microphone.level.rms == pytest.approx(-6.02, abs=0.01)
    assert not microphone.only_zeros


def test_stop_ends_a_reader_that_waits() -> None:
    driver = Driver()
    microphone = opened(driver)
    blocks = microphone.blocks()
    driver.streams[0].hear([1] * 1_600)
    next(blocks)
    driver.streams[0].active = False
    threading.Thread(target=microphone.stop).start()

    assert list(blocks) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_signal_handler_may_stop_a_reader_that_waits() -> None:
    driver = Driver()
    microphone = opened(driver)
    blocks = microphone.blocks()
    driver.streams[0].hear([1] * 1_600)
    next(blocks)
    driver.streams[0].active = False
    before = signal.signal(signal.SIGUSR1, lambda *_: microphone.stop())
    try:
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
        thread.start()
        rest = list(blocks)
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert rest == []


def test_close_lets_go_of_the_device() -> None:
    driver = Driver()
    with opened(driver):
        pass

    assert driver.streams[0].closed


# --- which one is meant -----------------------------------------------------------------------


def device(number: int, name: str, host_api: str = "ALSA", *, default: bool = False) -> Device:
    loopback = name.startswith("Monitor of")
    return Device(number, name, host_api, 1, 48_000, default, loopback)


FOUND = [
    device(0, "Monitor of Speakers"),
    device(1, "USB Microphone"),
    device(3, "USB Microphone 2", default=True),
    device(4, "Webcam", "MME"),
    device(5, "Webcam"),
]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (None, 3),
        ("", 3),
        ("1", 1),
        ("usb microphone", 1),
        ("phone 2", 3),
        ("webcam", 5),
        ("Webcam, MME", 4),
        ("monitor", 0),
    ],
)
def test_a_device_is_chosen_by_number_name_or_part_of_it(wanted: str | None, number: int) -> None:
    assert choose(FOUND, wanted).number == number


def test_a_part_of_several_names_is_refused_with_all_of_them() -> None:
    with pytest.raises(UsageError, match="may be one of 2") as caught:
        choose(FOUND, "usb")

    assert "1 USB Microphone (ALSA); 3 USB Microphone 2 (ALSA)" in (caught.value.hint or "")


@pytest.mark.parametrize("wanted", ["2", "-1", "studio"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(wanted: str) -> None:
    with pytest.raises(MicrophoneError, match=wanted) as caught:
        choose(FOUND, wanted)

    assert "5 Webcam (ALSA)" in (caught.value.hint or "")


def test_without_a_default_a_monitor_comes_last() -> None:
    assert choose(FOUND[:2]).name == "USB Microphone"


def test_a_machine_without_any_is_an_error() -> None:
    with pytest.raises(MicrophoneError, match="there is no microphone") as caught:
        choose([])

    assert caught.value.exit_status == 12
    assert MissingHelperError.exit_status == 13
