"""A PulseAudio of our own, with a microphone that hears what is played to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NEEDED", "SoundServer", "sound_server"]

NEEDED = ("pulseaudio", "pactl", "paplay")
_SINK = "sink_name=vmic rate=16000 channels=1 norewinds=1"
"""`norewinds`: or the sink goes back in time when a player connects, and half a second is lost."""
_ALSA = "pcm.vmic_monitor { type pulse device vmic.monitor }\n"
"""A name by which ALSA, and with it PortAudio, lists the monitor by itself."""


@dataclass(frozen=True, slots=True)
class SoundServer:
    """A running daemon; `environment` leads a child process to it."""

    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    def play(self, path: Path) -> None:
        """Play a recording to its end."""
        self._run("paplay", "--device=vmic", str(path))

    def unplug(self) -> None:
        """Take the microphone away."""
        self._run("pactl", "unload-module", "module-null-sink")

    def die(self) -> None:
        """End at once, as in a crash."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop answering, without ending."""
        self.process.send_signal(signal.SIGSTOP)

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True, timeout=30)


@contextmanager
def sound_server() -> Iterator[SoundServer]:
    """Start one in a folder of its own; it is ready, and its microphone is the default."""
    folder = Path(tempfile.mkdtemp(prefix="asrcli-sound-"))  # Short: it holds sockets.
    try:
        (folder / ".asoundrc").write_text(_ALSA)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
            "LC_ALL": "C.UTF-8",
        }
        command = ["pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "-n"]
        command += ["--load=module-native-protocol-unix", f"--load=module-null-sink {_SINK}"]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_until_ready(process, environment)
            yield SoundServer(process, environment)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
    # Setting the default works from the moment at which the sink is there.
    command = ["pactl", "set-default-source", "vmic.monitor"]
    pause = threading.Event()
    for _ in range(400):
        if process.poll() is not None:
            break
        asked = subprocess.run(
            command, env=environment, stderr=subprocess.DEVNULL, check=False, timeout=10
        )
        if asked.returncode == 0:
            return
        pause.wait(0.025)
    raise RuntimeError("PulseAudio did not start")
