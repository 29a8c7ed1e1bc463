"""OpenAI's SDK (`openai`) and our providers, in front of the same emulated services.

As in `test_dashscope_sdk`: the SDK comes through with the right words, and its requests and ours
are compared field by field. It serves two of our providers: servers of OpenAI's kind, and the Omni
models of Qwen Cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from asrcli.providers.base import Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.openai_compatible import OpenAICompatible
from asrcli.providers.qwen.flash import data_uri
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.provider import Qwen
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from tests.emulators.dashscope import DashScope, fetch_from
from tests.emulators.dashscope.hosts import KEY as QWEN_KEY
from tests.emulators.openai import KEY, OpenAI
from tests.emulators.server import Server, serve
from tests.providers.calling import Time, audio_of
from tests.providers.compared import Difference, assert_alike
from tests.recordings import recording

WELCOME = recording("welcome")
URL = "https://files.example/talks/welcome.wav"
PARTS = ("arch", "async", "lang", "os", "package-version", "read-timeout", "retry-count",
         "runtime", "runtime-version")  # fmt: skip

SENDER = (
    Difference("header user-agent", "OpenAI/Python .*", "asrcli/.*", "each says who it is"),
    Difference(
        "header accept-encoding",
        "gzip, deflate.*",
        "identity",
        "answers are short; compressed, one that was cut cannot be told from a whole one",
    ),
    *(
        Difference(f"header x-stainless-{part}", ".*", None, "for the vendor's statistics")
        for part in PARTS
    ),
)


@pytest.fixture
def openai() -> Any:
    """The package."""
    return pytest.importorskip("openai")


@pytest.fixture
def whisper() -> OpenAI:
    return OpenAI()


@pytest.fixture
def whisper_server(whisper: OpenAI) -> Iterator[Server]:
    with serve(whisper) as server:
        yield server


@pytest.fixture
def whisper_sdk(openai: Any, whisper_server: Server) -> Iterator[Any]:
    base = f"{whisper_server.url}/v1"
    with openai.OpenAI(api_key=KEY, base_url=base, max_retries=0) as client:
        yield client


@pytest.fixture
def compatible(whisper_server: Server) -> Iterator[OpenAICompatible]:
    provider = OpenAICompatible(
        Secret(KEY), f"{whisper_server.url}/v1", Connection(environ={}), retrier=Time().retrier()
    )
    yield provider
    provider.close()


@pytest.fixture
def dashscope() -> Iterator[DashScope]:
    service = DashScope(fetch=fetch_from({URL: WELCOME.path}))
    yield service
    service.close()


@pytest.fixture
def omni_server(dashscope: DashScope) -> Iterator[Server]:
    with serve(dashscope) as server:
        yield server


@pytest.fixture
def omni_sdk(openai: Any, omni_server: Server) -> Iterator[Any]:
    base = f"{omni_server.url}/compatible-mode/v1"
    with openai.OpenAI(api_key=QWEN_KEY, base_url=base, max_retries=0) as client:
        yield client


@pytest.fixture
def qwen(omni_server: Server) -> Iterator[Qwen]:
    hosts = Hosts(f"{omni_server.url}/api/v1", f"{omni_server.url}/compatible-mode/v1")
    provider = Qwen(Secret(QWEN_KEY), hosts, Connection(environ={}), retrier=Time().retrier())
    yield provider
    provider.close()


# --- client.audio.transcriptions ------------------------------------------------------------------

FORM = (
    Difference(
        "header accept", "application/json", r"\*/\*", "errors of proxies are HTML, and are read"
    ),
    Difference(
        "form file name",
        r"welcome\.wav",
        r"audio-[0-9a-f]{32}\.wav",
        "what a recording is called is the user's business; the suffix is what the server needs",
    ),
    Difference(
        "form file type", "audio/x-wav", "audio/wav", "the SDK guesses by the name, we by content"
    ),
)
ORDER = Difference(
    "form order",
    "model language prompt response_format timestamp.* file",
    "model response_format language prompt timestamp.* file",
    "RFC 7578 gives it no meaning but for fields of one name, and those are alike",
)


def test_times_are_asked_for_as_the_sdk_asks(
    whisper_sdk: Any, compatible: OpenAICompatible, whisper: OpenAI
) -> None:
    theirs = whisper_sdk.audio.transcriptions.create(
        model="whisper-1",
        file=WELCOME.path,
        language="en",
        prompt="A computer speaks.",
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    model = resolve("whisper-1", provider="openai")
    options = Options(language="en", prompt="A computer speaks.", words=True)
    ours = compatible.transcribe(audio_of(WELCOME), model, options)

    assert theirs.text == ours.text == WELCOME.text
    words = [word for segment in ours.segments for word in segment.words]
    assert [(w.start, w.end) for w in theirs.words] == [(w.start, w.end) for w in words]
    assert_alike(*whisper.requests, SENDER, FORM, [ORDER])


def test_a_model_without_times_is_asked_as_the_sdk_asks(
    whisper_sdk: Any, compatible: OpenAICompatible, whisper: OpenAI
) -> None:
    theirs = whisper_sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=WELCOME.path, response_format="json"
    )
    model = resolve("gpt-4o-transcribe", provider="openai")
    ours = compatible.transcribe(audio_of(WELCOME), model, Options())

    assert theirs.text == ours.text == WELCOME.text
    assert_alike(*whisper.requests, SENDER, FORM)


# --- client.chat.completions ----------------------------------------------------------------------

STREAM = Difference(
    "header accept", "application/json", "text/event-stream", "a stream is what is asked for"
)


@pytest.mark.parametrize("inside", [True, False])
def test_omni_is_asked_for_the_words_as_the_sdk_asks(
    omni_sdk: Any, qwen: Qwen, dashscope: DashScope, inside: bool
) -> None:
    audio = audio_of(WELCOME)
    source = audio if inside else Reference("qwen", URL)
    location = data_uri(audio) if inside else URL
    ours = qwen.transcribe(source, resolve("qwen3.5-omni-flash"), Options(language="en"))
    system, user = dashscope.requests[0].json["messages"]  # the wording is ours alone
    sound = {"type": "input_audio", "input_audio": {"data": location, "format": "wav"}}
    task = {"type": "text", "text": user["content"][1]["text"]}

    chunks = omni_sdk.chat.completions.create(
        model="qwen3.5-omni-flash",
        messages=[
            {"role": "system", "content": system["content"]},
            {"role": "user", "content": [sound, task]},
        ],
        modalities=["text"],
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.1,
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    assert text == ours.text == WELCOME.text
    our_call, call = dashscope.requests
    assert_alike(call, our_call, SENDER, [STREAM])
