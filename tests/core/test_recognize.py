"""Every format through every provider: exactly the right words, whatever has to be converted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from asrcli.core.asking import Asker
from asrcli.core.decoding import open_decoders
from asrcli.core.inputs import Input, read_reference
from asrcli.core.memory import Memory
from asrcli.core.opening import Opener
from asrcli.core.pieced import Piecer
from asrcli.core.prepare import Changes
from asrcli.core.recognize import Recognizer
from asrcli.core.select import Choice
from asrcli.errors import UsageError
from asrcli.providers.base import Options, Provider
from asrcli.providers.catalogue import resolve
from asrcli.providers.local import Local
from asrcli.providers.onemin import OneMin as OneMinProvider
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.fetch import Download
from asrcli.transport.retry import Retrier
from tests.emulators import onemin as onemin_service
from tests.emulators.dashscope import hosts
from tests.emulators.dashscope.app import DashScope
from tests.emulators.onemin import OneMin
from tests.recordings import FORMATS_MADE, encode_as, recording

WELCOME = recording("welcome")


DECODERS = open_decoders()


@pytest.fixture(scope="module", autouse=True)
def no_process_stays() -> Iterator[None]:
    yield
    DECODERS.close()


def no_fetch(url: str, target: Path) -> Download:
    raise AssertionError(f"{url} is not to be fetched into {target}")


def make(
    provider: Provider, model_id: str, folder: Path, *, changes: Changes | None = None
) -> Recognizer:
    choice = Choice(resolve(model_id, provider=provider.name), None, "a test")
    memory = Memory()
    asker = Asker(provider, memory)
    return Recognizer(
        choose=lambda _: choice,
        options_for=lambda _: Options(),
        asker=asker,
        memory=memory,
        opener=Opener(lambda: folder, no_fetch),
        piecer=Piecer(asker, lambda: folder, calls=2, decoders=DECODERS),
        jobs=None,
        folder=lambda: folder,
        decoders=DECODERS,
        changes=changes or Changes(),
    )


@pytest.fixture
def qwen() -> Iterator[Qwen]:
    service = DashScope()
    base = "https://dashscope-intl.aliyuncs.com"
    provider = Qwen(
        Secret(hosts.KEY),
        Hosts(f"{base}/api/v1", f"{base}/compatible-mode/v1"),
        Connection(),
        retrier=Retrier(),
        transport=httpx.MockTransport(service),
    )
    yield provider
    provider.close()
    service.close()


@pytest.fixture
def onemin() -> Iterator[OneMinProvider]:
    provider = OneMinProvider(
        Secret(onemin_service.KEY),
        Connection(),
        retrier=Retrier(),
        wait=lambda _: None,
        transport=httpx.MockTransport(OneMin()),
    )
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    provider = Local()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("encoded")
    made: dict[str, Path] = {}

    def encode(container: str) -> Path:
        if container not in made:
            made[container] = encode_as(WELCOME.path, container, folder)
        return made[container]

    return encode


@pytest.mark.parametrize("container", FORMATS_MADE)
@pytest.mark.parametrize("name", ["qwen", "onemin"])
def test_a_service_gets_every_format_in_a_form_that_it_takes(
    container: str,
    name: str,
    encoded: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    recognizer = make(request.getfixturevalue(name), "qwen3-asr-flash", tmp_path)

    found = recognizer.recognize(Input(container, encoded(container)))

    assert found.transcript.text == WELCOME.text
    assert list(tmp_path.iterdir()) == []  # what was made on the way is gone


def word_errors(heard: str, said: str) -> int:
    """Substitutions, insertions and deletions."""
    a, b = heard.split(), said.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_the_embedded_engine_hears_every_format_as_well_as_the_wav(
    container: str, encoded: Callable[[str], Path], local: Local, tmp_path: Path
) -> None:
    recognizer = make(local, "local", tmp_path)

    found = recognizer.recognize(Input(container, encoded(container)))

    said = WELCOME.heard
    # AMR is telephone quality: a fifth of the words more may be wrong.
    allowed = 2 + (len(said.split()) // 5 if container == "amr" else 0)
    assert word_errors(found.transcript.text, said) <= allowed


def test_a_channel_is_chosen_before_it_is_sent(qwen: Qwen, tmp_path: Path) -> None:
    from tests.recordings import side_by_side

    path = side_by_side([WELCOME.path, recording("number").path], tmp_path / "both.wav")

    texts = []
    for channel in (0, 1):
        folder = tmp_path / str(channel)
        folder.mkdir()
        recognizer = make(qwen, "qwen3-asr-flash", folder, changes=Changes(channel=channel))
        texts.append(recognizer.recognize(Input("both", path)).transcript.text)

    assert texts == [WELCOME.text, recording("number").text]


def test_a_clip_under_a_second_is_padded_not_dropped(qwen: Qwen, tmp_path: Path) -> None:
    from tests.recordings import cut

    word = WELCOME.words[3]
    path = tmp_path / "short.wav"
    cut(WELCOME.path, path, start=word.start - 0.05, end=word.end + 0.05)
    folder = tmp_path / "made"
    folder.mkdir()

    found = make(qwen, "qwen3-asr-flash", folder).recognize(Input("short", path))

    assert found.transcript.text == word.text
    assert "has to last 1 s" in found.note


def test_a_quiet_clip_is_raised_when_that_is_asked_for(qwen: Qwen, tmp_path: Path) -> None:
    from tests.recordings import louder

    path = louder(WELCOME.path, tmp_path / "quiet.wav", gain=-26)
    folder = tmp_path / "made"
    folder.mkdir()
    recognizer = make(qwen, "qwen3-asr-flash", folder, changes=Changes(normalize=True))

    found = recognizer.recognize(Input("quiet", path))

    assert found.transcript.text == WELCOME.text
    assert "normalizing" in found.note


def test_a_reference_cannot_be_changed_on_the_way(qwen: Qwen, tmp_path: Path) -> None:
    recognizer = make(qwen, "qwen3-asr-flash", tmp_path, changes=Changes(channel=1))

    with pytest.raises(UsageError, match="--channel"):
        recognizer.recognize(Input("oss://x", reference=read_reference("oss://x")))
