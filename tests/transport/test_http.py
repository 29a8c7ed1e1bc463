"""What the client sends, and what it makes of answers; no sockets but for the form with a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    ArrearsError,
    AsrError,
    ConfigurationError,
    FileUnreadableError,
    InputRefusedError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    Retry,
    RightsError,
    ServiceError,
    TimeLimitError,
    UnexpectedAnswerError,
)
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, FilePart, HTTPClient
from asrcli.transport.retry import Retrier
from asrcli.transport.throttle import Throttle
from tests.faults.byte_server import ByteServer, http, json_answer, raw
from tests.transport.rig import KEY, FakeTime, connection, make_client, make_retrier, no_failure

BASE = "https://api.example.com/v1"
Reaction = httpx.Response | Exception


class Service:
    """Answers with what it is told, the last one for ever, and remembers what came."""

    def __init__(self, *reactions: Reaction | Callable[[], Reaction]) -> None:
        self.reactions = reactions or (ok,)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        reaction = self.reactions[min(len(self.requests), len(self.reactions) - 1)]
        self.requests.append(request)
        if not isinstance(reaction, httpx.Response | Exception):
            reaction = reaction()
        if isinstance(reaction, Exception):
            raise reaction
        return reaction


def ok() -> httpx.Response:
    return httpx.Response(200, json={"text": "hello"})


def answering(code: int, body: Any = None, **headers: str) -> Callable[[], httpx.Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(code, json=body if body is not None else {}, headers=named)


def client_of(service: Service, **options: Any) -> HTTPClient:
    return make_client(BASE, transport=service.transport, **options)


def failure_of(service: Service, **options: Any) -> AsrError:
    with pytest.raises(AsrError) as caught:
        client_of(service, **options).post("x", {})
    return caught.value


# --- what is sent -----------------------------------------------------------------------------


def test_a_call_carries_key_agent_and_json() -> None:
    service = Service()

    client_of(service).post("x", {"a": "é"}, headers={"X-More": "1"})

    (request,) = service.requests
    assert str(request.url) == f"{BASE}/x"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("asrcli/")
    assert request.headers["x-more"] == "1"
    assert request.headers["content-type"] == "application/json"
    assert request.content == '{"a":"é"}'.encode()


def test_a_key_under_another_name_is_sent_as_it_is() -> None:
    service = Service()

    client_of(service, headers={"API-KEY": Secret(KEY)}).get("x")

    assert service.requests[0].headers["api-key"] == KEY


def test_an_empty_key_is_not_sent() -> None:
    service = Service()

    client_of(service, headers={"Authorization": Secret("")}).get("x")

    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "é", "\x00"])
def test_a_header_cannot_be_broken_out_of(value: str) -> None:
    service = Service()
    client = client_of(service, headers={"Authorization": Secret(value)})

    with pytest.raises(ConfigurationError) as caught:
        client.get("x")

    assert value not in str(caught.value)
    assert service.requests == []


def test_parameters_are_encoded() -> None:
    service = Service()

    client_of(service).get("x", params={"model": "a/b c&d"})

    assert service.requests[0].url.query == b"model=a%2Fb+c%26d"


def test_questions_do_not_count_for_requests_a_minute() -> None:
    time = FakeTime()
    client = client_of(Service(), retrier=make_retrier(time, rpm=1.0))

    for _ in range(5):
        client.get("x")

    assert time.waited == 0


def test_nothing_is_read_from_netrc(tmp_path: Path, clean_environment: Path) -> None:
    (clean_environment / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    (clean_environment / ".netrc").chmod(0o600)
    with ByteServer(otherwise=json_answer({})) as server:
        client = make_client(server.url, headers={})
        client.get("x")
        client.close()

    assert "authorization" not in server.requests[0].headers


def test_a_client_does_not_show_its_key() -> None:
    client = client_of(Service(httpx.ReadError("boom")))

    assert KEY not in repr(client)
    with pytest.raises(NetworkError) as caught:
        client.post("x", {})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_base_url_that_cannot_be_used_is_found_at_once() -> None:
    with pytest.raises(ConfigurationError):
        make_client("http://api.example.com")


# --- what is made of answers ------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 502, 503, 504, 520, 521, 522, 523, 524, 408, 425, 429])
def test_a_failure_that_passes_is_got_over(code: int) -> None:
    service = Service(answering(code), ok)

    assert client_of(service).post("x", {}).json == {"text": "hello"}
    assert len(service.requests) == 2


@pytest.mark.parametrize("code", [502, 504, 520, 522, 524])
def test_a_gateway_that_lost_its_service_leaves_a_costly_call_unclear(code: int) -> None:
    service = Service(answering(code), ok)

    assert client_of(service).post("x", {}).possible_duplicate


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_service_that_says_it_failed_does_not(code: int) -> None:
    service = Service(answering(code), ok)

    assert not client_of(service).post("x", {}).possible_duplicate


def test_a_failure_for_ever_ends_after_exact_tries_with_its_request_id() -> None:
    service = Service(answering(500, x_request_id="req-7"))

    error = failure_of(service)

    assert len(service.requests) == 5
    assert isinstance(error, ServiceError)
    assert error.exit_status == 9
    assert "req-7" in str(error)
    assert "HTTP 500" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "exit_status"),
    [
        (400, RefusedError, 9),
        (401, KeyRefusedError, 4),
        (402, ArrearsError, 5),
        (403, RightsError, 4),
        (404, RefusedError, 9),
        (407, NetworkError, 6),
        (413, InputRefusedError, 7),
        (415, InputRefusedError, 7),
        (418, RefusedError, 9),
        (501, ServiceError, 9),
    ],
)
def test_a_failure_that_stays_is_not_tried_again(
    code: int, kind: type[AsrError], exit_status: int
) -> None:
    service = Service(answering(code))

    error = failure_of(service)

    assert type(error) is kind
    assert error.exit_status == exit_status
    assert error.retry is Retry.NEVER
    assert len(service.requests) == 1


def test_a_service_s_own_words_come_first_also_with_200() -> None:
    def read(answer: Answer) -> AsrError | None:
        if answer.json.get("code") == "Arrearage":
            return ArrearsError("svc", answer.json["message"], code="Arrearage")
        return None

    service = Service(answering(200, {"code": "Arrearage", "message": "pay first"}))

    error = failure_of(service, read_failure=read)

    assert isinstance(error, ArrearsError)
    assert "pay first" in str(error)
    assert len(service.requests) == 1


def test_what_a_service_s_error_lacks_is_added() -> None:
    def read(answer: Answer) -> AsrError | None:
        return RateLimitedError("svc", "slower") if answer.status == 429 else None

    time = FakeTime()
    service = Service(answering(429, Retry_After="3", x_request_id="req-9"), ok)
    client_of(service, read_failure=read, retrier=make_retrier(time)).post("x", {})
    assert time.waited == pytest.approx(3)

    error = failure_of(Service(answering(429, Retry_After="999", x_request_id="req-9")),
                       read_failure=read)  # fmt: skip
    assert (error.request_id, error.http_status, error.retry_after) == ("req-9", 429, 999.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry_After": "7"}, 7), ({"retry_after_ms": "1500", "Retry_After": "7"}, 1.5)],
)
def test_the_time_that_a_header_asks_for_is_waited(headers: dict[str, str], seconds: float) -> None:
    time = FakeTime()

    client_of(Service(answering(429, **headers), ok), retrier=make_retrier(time)).get("x")

    assert time.waited == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", ""])
def test_junk_in_its_place_is_as_if_it_were_not_there(value: str) -> None:
    time = FakeTime()

    client_of(Service(answering(429, Retry_After=value), ok), retrier=make_retrier(time)).get("x")

    assert time.waited == pytest.approx(1.0)


def test_a_service_may_say_that_another_try_is_of_no_use() -> None:
    service = Service(answering(500, x_should_retry="false"))

    failure_of(service)

    assert len(service.requests) == 1


def test_a_key_that_the_service_repeats_is_blotted_out() -> None:
    def read(answer: Answer) -> AsrError | None:
        return KeyRefusedError("svc", answer.json["message"], http_status=answer.status)

    echo = {"message": f"Incorrect API key provided: {KEY}; you sent Authorization: Bearer {KEY}"}
    error = failure_of(Service(answering(401, echo)), read_failure=read)

    assert KEY not in f"{error} {error!r} {error.args}"
    assert "Incorrect API key provided" in str(error)


def test_an_error_of_reading_the_failure_is_the_failure() -> None:
    def read(answer: Answer) -> AsrError | None:
        return RefusedError("svc", answer.json["message"])

    error = failure_of(
        Service(lambda: httpx.Response(200, text="<html>", headers={"content-type": "text/html"})),
        read_failure=read,
    )

    assert isinstance(error, UnexpectedAnswerError)
    assert "a web page" in str(error)


def test_a_rate_limit_met_by_one_thread_holds_up_all_and_is_told_once() -> None:
    told: list[str] = []
    limited = raw(http(429, b"{}", {"Retry-After-Ms": "150"}))
    good = json_answer({"text": "hello"})
    with ByteServer([*[good] * 12, limited, limited], otherwise=good) as server:
        throttle = Throttle(8, ramp=0, on_wait=lambda reason, _: told.append(reason))
        client = make_client(
            server.url,
            settings=connection(max_connections=8),
            retrier=Retrier(throttle=throttle),
        )
        answers: list[Answer] = []

        def work() -> None:
            answers.extend(client.post("x", {}) for _ in range(4))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        client.close()

    assert len(answers) == 32
    assert len(server.requests) == 34
    assert 1 <= len(told) <= 2
    assert set(told) == {"rate limited by svc"}


def test_nothing_heavy_is_loaded_before_the_first_call() -> None:
    code = (
        "import sys, asrcli.transport.http, asrcli.transport.fetch\n"
        "from asrcli.transport.http import HTTPClient\n"
        "from asrcli.transport.connection import Connection\n"
        "from asrcli.transport.retry import Retrier\n"
        "HTTPClient('svc', 'https://h.example', {}, Connection(), retrier=Retrier(),\n"
        "           read_failure=lambda _: None)\n"
        "print(sorted({'httpx', 'httpcore', 'h11', 'anyio'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


# --- transports that fail ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "calls"),
    [
        (httpx.ConnectError("refused"), 5),
        (httpx.ConnectTimeout(""), 5),
        (httpx.PoolTimeout(""), 5),
        (httpx.WriteTimeout(""), 5),
        (httpx.ReadTimeout(""), 2),
        (httpx.ReadError(""), 2),
        (httpx.WriteError(""), 2),
        (httpx.RemoteProtocolError("Server disconnected"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_costly_call_is_repeated_as_its_failure_allows(raised: Exception, calls: int) -> None:
    service = Service(raised)

    error = failure_of(service)

    assert isinstance(error, NetworkError)
    assert "api.example.com:443" in str(error)
    assert len(service.requests) == calls


def test_an_error_that_is_none_of_the_network_s_is_a_bug_and_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        client_of(Service(ZeroDivisionError())).post("x", {})


def test_a_deadline_is_kept_by_the_clock_that_was_given() -> None:
    time = FakeTime()

    class Slow(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            from asrcli.transport.exchange import current

            time.now += 700
            current().left()
            return ok()

    client = HTTPClient(
        "svc",
        BASE,
        {},
        Connection(environ={}),
        retrier=make_retrier(time),
        read_failure=no_failure,
        transport=Slow(),
        clock=time.clock,
    )

    with pytest.raises(TimeLimitError, match="within 600 s"):
        client.post("x", {})


# --- forms with a file ------------------------------------------------------------------------


@pytest.fixture
def part(tmp_path: Path) -> FilePart:
    path = tmp_path / "talk.mp3"
    path.write_bytes(b"ID3 some audio")
    return FilePart("file", "talk.mp3", "audio/mpeg", path)


def names(body: bytes) -> list[str]:
    return re.findall(r'form-data; name="([^"]*)"', body.decode())


def test_the_fields_come_in_their_order_and_the_file_last(part: FilePart) -> None:
    with ByteServer(otherwise=json_answer({})) as server:
        client = make_client(server.url)
        client.post_file("up", [("z", "1"), ("a", "2"), ("key", "dir/ü.mp3")], part)
        client.close()

    (request,) = server.requests
    assert names(request.body) == ["z", "a", "key", "file"]
    assert request.headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in request.headers
    assert request.headers["authorization"] == f"Bearer {KEY}"
    last = request.body.rpartition(b'name="file"; ')[2]
    assert last.startswith(
        b'filename="talk.mp3"\r\nContent-Type: audio/mpeg\r\n\r\nID3 some audio\r\n--'
    )


def test_fields_of_one_name_are_all_sent(part: FilePart) -> None:
    service = Service()

    client_of(service).post_file("up", [("t[]", "word"), ("t[]", "segment")], part)

    assert names(service.requests[0].content) == ["t[]", "t[]", "file"]


def test_the_file_is_read_anew_for_each_try(part: FilePart) -> None:
    service = Service(answering(503), httpx.ReadError(""), answering(502), ok)
    sent: list[int] = []

    answer = client_of(service).post_file("up", [], part, on_sent=sent.append)

    assert answer.status == 200
    assert not answer.possible_duplicate
    bodies = {request.content.partition(b"ID3")[2][:11] for request in service.requests}
    assert bodies == {b" some audio"}
    assert max(sent) == 14


def test_a_form_that_may_be_billed_is_resent_once(part: FilePart) -> None:
    service = Service(httpx.ReadError(""))

    with pytest.raises(NetworkError) as caught:
        client_of(service).post_file("transcribe", [], part, ambiguous=True)

    assert len(service.requests) == 2
    assert caught.value.possible_duplicate


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ('a"b.wav', b"a%22b.wav"),
        ("a\r\nX-Evil: 1.wav", b"a%0D%0AX-Evil: 1.wav"),
        ("a\x1b\x00\x7f\x9bb.wav", b"a%1B%00%7F%C2%9Bb.wav"),
        ("../../etc/passwd", b".._.._etc_passwd"),
        ("C:\\x.wav", b"C:_x.wav"),
        ("100%.wav", b"100%25.wav"),
        ("r\u202evaw.exe", b"r%E2%80%AEvaw.exe"),
        ("größe 语音.wav", "größe 语音.wav".encode()),
        ("bad\udcff.wav", b"bad%3F.wav"),
        ("x" * 300 + ".wav", b"x" * 196 + b".wav"),
    ],
)
def test_a_file_name_cannot_break_out_of_its_header(part: FilePart, name: str, sent: bytes) -> None:
    with ByteServer(otherwise=json_answer({})) as server:
        client = make_client(server.url)
        client.post_file("up", [], FilePart("file", name, "audio/wav", part.path))
        client.close()

    assert b'name="file"; filename="' + sent + b'"\r\n' in server.requests[0].body


def test_a_type_that_is_none_is_not_sent(part: FilePart) -> None:
    service = Service()

    client_of(service).post_file("up", [], FilePart("file", "a", "a/b\r\nX: 1", part.path))

    assert b"Content-Type: application/octet-stream\r\n" in service.requests[0].content


def test_a_file_that_is_gone_is_an_error_of_the_input(tmp_path: Path) -> None:
    service = Service()

    with pytest.raises(FileUnreadableError) as caught:
        client_of(service).post_file("up", [], FilePart("f", "a", "a/b", tmp_path / "gone"))

    assert caught.value.exit_status == 7
    assert service.requests == []


def test_a_file_that_cannot_be_read_to_its_end_is_an_error_of_the_input(part: FilePart) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with ByteServer(otherwise=json_answer({})) as server:
        client = make_client(server.url)
        with pytest.raises(FileUnreadableError, match=r"talk\.mp3: Input/output error"):
            client.post_file("up", [], part, on_sent=fail)
        client.close()


def test_a_file_that_shrinks_while_it_is_sent_is_an_error_of_the_input(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 3_000_000)

    def shrink(_: int) -> None:
        with path.open("r+b") as file:
            file.truncate(10)

    with ByteServer(otherwise=json_answer({})) as server:
        client = make_client(server.url)
        with pytest.raises(FileUnreadableError, match="changed while it was sent"):
            client.post_file("up", [], FilePart("f", "a", "a/b", path), on_sent=shrink)
        client.close()


UPLOADER = """
import sys
from pathlib import Path
from asrcli.transport.connection import Connection
from asrcli.transport.http import FilePart, HTTPClient
from asrcli.transport.retry import Retrier

def highest():
    lines = open("/proc/self/status").read().splitlines()
    return int([line for line in lines if line.startswith("VmHWM")][0].split()[1]) // 1024

client = HTTPClient("svc", sys.argv[1], {}, Connection(environ={}), retrier=Retrier(),
                    read_failure=lambda _: None)
client.get("x")
before = highest()
client.post_file("up", [("a", "b")], FilePart("file", "a.wav", "audio/wav", Path(sys.argv[2])))
print(highest() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_file_that_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with ByteServer(otherwise=json_answer({}), most_kept=1_000_000) as server:
        done = subprocess.run(
            [sys.executable, "-c", UPLOADER, server.url, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert int(server.requests[-1].headers["content-length"]) > 200_000_000
    assert int(done.stdout) < 10


# --- hosts that are not the service's ---------------------------------------------------------


def test_a_file_goes_to_another_host_without_any_header_of_this_client(part: FilePart) -> None:
    service = Service(lambda: httpx.Response(200))
    client = client_of(
        service, headers={"Authorization": Secret(KEY), "API-KEY": Secret(KEY), "X-Space": "ws"}
    )

    client.post_file(
        "https://bucket.oss.example", [], part, headers={"X-Own": "1", "Accept": "a/b"}
    )

    (request,) = service.requests
    assert set(request.headers) == {
        "host", "accept", "accept-encoding", "connection", "user-agent", "content-type",
        "content-length",
    }  # fmt: skip
    assert request.headers["accept"] == "a/b"
    assert KEY.encode() not in request.content


def test_a_call_to_the_own_host_can_be_without_key_too(part: FilePart) -> None:
    service = Service()

    client_of(service).post_file("up", [], part, keyless=True)

    assert "authorization" not in service.requests[0].headers


def test_a_full_url_of_the_own_host_gets_the_key(part: FilePart) -> None:
    service = Service()

    client_of(service).post_file("https://api.example.com:443/up", [], part)

    assert "authorization" in service.requests[0].headers


@pytest.mark.parametrize(
    "url",
    ["http://bucket.example/", "https://127.0.0.1/", "https://10.0.0.1/", "ftp://bucket.example/",
     "https://user:pw@bucket.example/"],
)  # fmt: skip
def test_a_service_cannot_send_files_where_they_must_not_go(url: str, part: FilePart) -> None:
    service = Service()

    with pytest.raises(UnexpectedAnswerError) as caught:
        client_of(service).post_file(url, [], part)

    assert caught.value.exit_status == 9
    assert service.requests == []


def test_a_service_on_loopback_may_name_loopback(part: FilePart) -> None:
    with ByteServer(otherwise=json_answer({})) as store:
        client = make_client("http://127.0.0.1:9")
        client.post_file(store.url, [], part)
        client.close()

    assert "authorization" not in store.requests[0].headers


def test_a_store_that_moved_does_not_get_the_file(part: FilePart) -> None:
    service = Service(lambda: httpx.Response(307, headers={"Location": "https://evil.example/"}))

    with pytest.raises(AsrError, match="redirected"):
        client_of(service).post_file("https://bucket.example/", [], part)

    assert len(service.requests) == 1


def test_a_store_s_403_says_nothing_about_the_key(part: FilePart) -> None:
    service = Service(answering(403))

    with pytest.raises(RefusedError):
        client_of(service).post_file("https://bucket.example/", [], part)


def test_the_answer_knows_who_gave_it() -> None:
    answer = client_of(Service()).post("x", {})

    assert (answer.host, answer.service, answer.status) == ("api.example.com", "svc", 200)
    assert json.loads(answer.body) == answer.json


def test_offline_refuses_every_kind_of_call(part: FilePart) -> None:
    service = Service()
    client = client_of(service, settings=connection(offline=True))

    for call in (
        lambda: client.get("x"),
        lambda: client.post("x", {}),
        lambda: client.post_file("x", [], part),
        lambda: list(client.events("x", {})),
    ):
        with pytest.raises(AsrError, match="--offline"):
            call()
    assert service.requests == []


def test_httpx_is_loaded_without_the_packages_of_its_command_line() -> None:
    code = (
        "import sys, asrcli.transport.http, httpx\n"
        "httpx.get\n"
        "print({'click', 'rich', 'pygments'} & {name.split('.')[0] for name in sys.modules})"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert ran.stdout == "set()\n"
