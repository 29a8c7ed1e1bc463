"""A program that records a microphone until a line comes on standard input, for tests.

    python listener.py FILE RATE [--watchdog=SECONDS] [DEVICE]

It prints `listening` when the first block has come. What was heard goes to FILE (float32), and
the last line says how it ended.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from asrcli.errors import AsrError
from asrcli.media.devices import choose, devices
from asrcli.media.microphone import Microphone


def main(target: str, rate: str, *rest: str) -> None:
    watchdog = next((word.partition("=")[2] for word in rest if "--watchdog" in word), "5")
    wanted = next((word for word in rest if "--watchdog" not in word), None)
    with Path(target).open("wb") as file:
        try:
            device = choose(devices(), wanted)
            with Microphone(device, sample_rate=int(rate), watchdog=float(watchdog)) as microphone:
                threading.Thread(target=_stop_when_told, args=(microphone,), daemon=True).start()
                listening = False
                for block in microphone.blocks():
                    file.write(block.tobytes())
                    if not listening:
                        listening = True
                        print("listening", flush=True)
                print(f"ended {microphone.native_rate} {microphone.overflows} {microphone.lost}")
        except AsrError as error:
            print(f"{type(error).__name__} {error.exit_status} {error} | {error.hint}")


def _stop_when_told(microphone: Microphone) -> None:
    # Not through sys.stdin: a thread that waits in it keeps the program from ending.
    if os.read(0, 100):
        microphone.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
