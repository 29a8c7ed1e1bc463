"""Runs of the installed program that ask a model for all it claims, and what they came to."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrcli.core.hotwords import takes_hotwords
from asrcli.providers import languages
from asrcli.providers.base import Feature, Model
from tests.cli.model_services import (
    FIRST,
    JOBS,
    PROMPT,
    SECOND,
    TIMED,
    URL,
    Talks,
    containers_of,
    is_snapshot,
    named,
    service_for,
    stored,
)
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.omni import OmniScript
from tests.emulators.server import serve
from tests.emulators.service import Emulator, Received
from tests.program import COMMAND

__all__ = [
    "Ran", "Runs", "claims", "clean", "expected_words", "in_language", "language_of",
    "told_emotion",
]  # fmt: skip

AT_ONCE = 6
"""Programs; most of their time they start, or wait between two polls."""
KEPT = {
    name: os.environ[name]
    for name in ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV")
    if name in os.environ
}
"""Read once: tests change the variables while the runs are under way."""


# --- runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that ended, what it wrote, and what its service saw."""

    status: int
    out: str
    err: str
    folder: Path
    service: Emulator
    requests: Sequence[Received] = ()

    def records(self) -> dict[str, dict[str, Any]]:
        """By the name of the input without its folders."""
        assert self.status == 0, self.err
        found = [json.loads(path.read_text("utf-8")) for path in self.folder.glob("*.json")]
        return {record["name"].rpartition("/")[2]: record for record in found}

    def calls(self) -> list[Received]:
        """The requests that recognize."""
        paths = (
            "/generation",
            "/asr/transcription",
            "/completions",
            "/features",
            "/transcriptions",
        )
        return [r for r in self.requests if r.method == "POST" and r.path.endswith(paths)]


@dataclass(slots=True)
class Runs:
    """All runs of the module, several at a time; each has a home and a service of its own."""

    talks: Talks
    folder: Path
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    begun: dict[tuple[str, str], Future[Ran]] = field(default_factory=dict)

    def begin(self, model: Model) -> None:
        kinds = ["full"]
        if model.api in JOBS and not is_snapshot(model):
            kinds.append("channels")
        if Feature.TIMES not in model.features and not is_snapshot(model):
            kinds.append("formats")
        for kind in kinds:
            self.begun[named(model), kind] = self.pool.submit(self.ran, model, kind)

    def of(self, model: Model, kind: str) -> Ran:
        return self.begun[named(model), kind].result()

    def ran(self, model: Model, kind: str) -> Ran:
        home = self.folder / f"{named(model)}-{kind}"
        home.mkdir()
        service, variables = service_for(model, self.talks.wav)
        with serve(service) as server:
            words = getattr(self, kind)(model, service, home)
            before = len(service.requests)
            done = subprocess.run(
                [*COMMAND, "transcribe", "-p", model.provider, "-m", model.id, *map(str, words)],
                env=clean(home) | variables(server.url), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        seen = service.requests[before:]
        return Ran(done.returncode, done.stdout, done.stderr, home / "out", service, seen)

    def full(self, model: Model, service: Emulator, home: Path) -> list[object]:
        """All that can be asked for at once, of each container, a URL and a reference."""
        words: list[object] = [*asked_of(model, home), "-o", f"{home / 'out'}/"]
        kinds = TIMED if Feature.TIMES in model.features else ("text", "json")
        words += itertools.chain(*(["-f", kind] for kind in kinds))
        if isinstance(service, DashScope) and told_emotion(model):
            service.omni.script = OmniScript(after="\nEmotion: happy")
        words += [self.talks.files[name] for name in containers_of(model)]
        if Feature.URL in model.features:
            words.append(URL)
        if Feature.UPLOAD in model.features:
            words.append(stored(model, service, self.talks.stored))
        return words

    def channels(self, model: Model, service: Emulator, home: Path) -> list[object]:
        """Those of a recording that has two; speakers cannot be told of it as well."""
        return ["--split-channels", "-f", "json", "-o", f"{home / 'out'}/", self.talks.channels]

    def formats(self, model: Model, service: Emulator, home: Path) -> list[object]:
        """Subtitles of a model without times: each cue is a call of its own."""
        kinds = itertools.chain(*(["-f", kind] for kind in TIMED))
        return [*in_language(model), *kinds, "-o", f"{home / 'out'}/", self.talks.wav]


def clean(home: Path) -> dict[str, str]:
    """What a program needs, and nothing of whoever runs the tests."""
    own = {"HOME": str(home), "USERPROFILE": str(home), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    return KEPT | own | {"TZ": "UTC", "PYTHONWARNINGS": "error"}


# --- what is asked for ----------------------------------------------------------------------------


def language_of(model: Model) -> str:
    """One that the model knows, as somebody would type it."""
    if model.family == "google":
        return "en-US"
    return "en" if languages.knows(model, "en") else model.languages[0]


def in_language(model: Model) -> list[str]:
    return ["-l", language_of(model)]


def told_emotion(model: Model) -> bool:
    """True for one that has no field for it, and is asked in words."""
    return Feature.EMOTION in model.approximate


def claims(model: Model, feature: Feature) -> bool:
    """True if a user may ask for it."""
    if feature is Feature.HOTWORDS:
        return takes_hotwords(model)
    return feature in model.features or (feature is Feature.EMOTION and told_emotion(model))


def asked_of(model: Model, home: Path) -> list[object]:
    """The options for every feature that the model claims."""
    names = home / "names.txt"
    names.write_text("PENCIL\t5\n", "utf-8")
    options: dict[Feature, list[object]] = {
        Feature.ITN: ["--itn"],
        Feature.PROMPT: ["--prompt", PROMPT],
        Feature.HOTWORDS: ["--hotwords", names, "--hotword", "RULER"],
        Feature.EMOTION: ["--emotion"],
        Feature.DIARIZE: ["--diarize", "--speakers", "2"],
        Feature.WORDS: ["--words"],
    }
    claimed = [words for feature, words in options.items() if claims(model, feature)]
    return [*in_language(model), *itertools.chain(*claimed)]


def expected_words(model: Model) -> list[str]:
    """What is said, with what the features make of it."""
    text = f"{FIRST} {SECOND}"
    if Feature.ITN in model.features and model.provider == "qwen":
        text = text.replace(" ten.", " 10.").replace(" one ", " 1 ")
    if Feature.HOTWORDS in model.features:
        text = text.replace("pencil", "PENCIL").replace("ruler", "RULER")
    return text.split()
