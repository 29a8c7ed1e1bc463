"""The batch models of the catalogue, what is said to them, and the services that they are at."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from asrcli.providers import catalogue
from asrcli.providers.base import API, Feature, Mode, Model
from asrcli.providers.local import available
from tests.emulators import onemin as onemin_service
from tests.emulators import openai as openai_service
from tests.emulators.dashscope import calls, hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.scripts import JobScript
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.decoding import Source
from tests.emulators.onemin import OneMin
from tests.emulators.openai import OpenAI
from tests.emulators.recognizer import Ear, Heard
from tests.emulators.service import Emulator
from tests.recordings import concatenate, cut, encode_as, recording, side_by_side

__all__ = [
    "BATCH", "FIRST", "JOBS", "PROMPT", "SECOND", "TIMED", "URL", "Talks",
    "containers_of", "hosts_of",
    "is_snapshot", "named",
    "qwen_for", "service_for", "stored", "talks_in",
]  # fmt: skip

URL = "https://files.example/there.wav"
PROMPT = "A teacher tells what to bring, then a traveler asks the way."
LESSON = replace(recording("lesson"), emotion="happy")
BRIDGE = replace(recording("bridge"), emotion="sad")
EAR = Ear([LESSON, BRIDGE])
TURN = BRIDGE.words[:6]
"""What is heard of it: some containers cannot be written as ours are if they last ten seconds."""
FIRST, SECOND = LESSON.text, " ".join(word.text for word in TURN)
TIMED = ("text", "json", "jsonl", "srt", "vtt", "tsv")
JOBS = {API.JOB, API.JOB_LIST}
REGIONS = {"cn": "cn-beijing", "us": "us-east-1"}


def with_snapshots(model: Model) -> Iterator[Model]:
    """The model under each id that is sent as it is typed."""
    yield model
    for name in model.aliases:
        (found,) = catalogue.find(name, provider=model.provider)
        if found.id != model.id:
            yield found


BATCH = [
    each
    for model in catalogue.models()
    if model.mode is Mode.BATCH and (model.provider != "local" or available())
    for each in with_snapshots(model)
]


def named(model: Model) -> str:
    return f"{model.provider}-{model.id}"


def is_snapshot(model: Model) -> bool:
    """True for one that has its facts from another: it is tested less."""
    return model.id in model.aliases


def containers_of(model: Model) -> list[str]:
    """Those that it is tested with."""
    return ["wav"] if is_snapshot(model) or not model.formats else sorted(model.formats)


# --- recordings -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Talks:
    """Two people, one after the other, in every container; and each in a channel of their own."""

    files: Mapping[str, Path]
    channels: Path
    stored: Path
    """The same bytes under another name."""

    @property
    def wav(self) -> Path:
        return self.files["wav"]


def talks_in(folder: Path) -> Talks:
    """The recordings, written into a folder."""
    turn = cut(BRIDGE.path, folder / "turn.wav", end=TURN[-1].end + 0.05)
    talk = concatenate([LESSON.path, turn], folder / "talk.wav", gap=0.7)
    channels = side_by_side([LESSON.path, turn], folder / "channels.wav")
    containers = sorted(set().union(*(model.formats for model in BATCH)) - {"wav", "3gp"})
    files = {name: encode_as(talk, name, folder) for name in containers}
    stored = Path(shutil.copy(talk, folder / "stored.wav"))
    return Talks({**files, "wav": talk, "3gp": as_3gp(files["m4a"])}, channels, stored)


def as_3gp(source: Path) -> Path:
    """The same packets in another container."""
    import av

    path = source.with_suffix(".3gp")
    with av.open(str(source)) as read, av.open(str(path), "w", format="3gp") as out:
        stream = out.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return path


def listen(source: Source, *, channel: int | None = None) -> Heard:
    """What was heard before is remembered, files of uploads included."""
    content = source.read_bytes() if isinstance(source, Path) else source
    return EAR.listen(content, channel=channel)


# --- services -------------------------------------------------------------------------------------


def qwen_for(model: Model, recording: Path) -> tuple[DashScope, Callable[[str], dict[str, str]]]:
    region = "ap-southeast-1"
    if model.regions and "intl" not in model.regions:
        region = REGIONS[model.regions[0]]
    fetch = fetch_from({URL: recording})
    service = DashScope(region=region, fetch=fetch, listen=listen)
    service.jobs.script = JobScript(pending_polls=0, running_polls=0)
    return service, lambda url: {
        "DASHSCOPE_API_KEY": hosts.KEY,
        "DASHSCOPE_HTTP_BASE_URL": f"{url}/api/v1",
        "DASHSCOPE_COMPATIBLE_BASE_URL": f"{url}/compatible-mode/v1",
    }


def service_for(model: Model, recording: Path) -> tuple[Emulator, Callable[[str], dict[str, str]]]:
    """The service of a model, and the variables for when it is at a URL."""
    match model.provider:
        case "qwen":
            return qwen_for(model, recording)
        case "onemin":
            onemin = OneMin(ear=EAR)
            key = onemin_service.KEY
            return onemin, lambda url: {"ONEMIN_API_KEY": key, "ONEMIN_BASE_URL": url}
        case "openai":
            openai = OpenAI(models=[model.id], ear=EAR)
            openai.verbose_refused_for = set() if Feature.TIMES in model.features else {model.id}
            key = openai_service.KEY
            return openai, lambda url: {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": f"{url}/v1"}
    return Emulator(), lambda _: {}


def stored(model: Model, service: Emulator, path: Path) -> str:
    """A reference to the recording, brought to the service by somebody else."""
    if isinstance(service, DashScope):
        base = f"https://{hosts_of(service.region)}"
        with calls.client_of(service, base=base) as client:
            return calls.upload(client, service, path, model=model.id)
    agent = {"API-KEY": onemin_service.KEY, "User-Agent": "tests/1"}
    with (
        httpx.Client(transport=httpx.MockTransport(service), headers=agent) as client,
        path.open("rb") as file,
    ):
        form = {"asset": (path.name, file, "audio/wav")}
        answer = client.post("https://api.1min.ai/api/assets", files=form).raise_for_status()
    return f"onemin:{answer.json()['fileContent']['path']}"


def hosts_of(region: str) -> str:
    """The name of the shared host."""
    middle = {"cn-beijing": "", "us-east-1": "-us"}.get(region, "-intl")
    return f"dashscope{middle}.aliyuncs.com"
