"""What every emulated service does: remember, fail when told to, read forms to the letter."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.emulators.bodies import IN_MEMORY, Body, MalformedForm, parse_form, strict_json
from tests.emulators.service import Emulator, Received, Refused, unknown_fields
from tests.emulators.troubles import After, Delay, Drip, Drop, Gate, Raw

HEAD = "multipart/form-data; boundary=xyz"


class Counter(Emulator):
    """Counts what it did."""

    done = 0

    def answer(self, request: Received) -> httpx.Response:
        if request.path == "/refused":
            raise Refused(httpx.Response(403))
        if request.path == "/form":
            return httpx.Response(200, json=[part.name for part in request.form])
        self.done += 1
        return httpx.Response(200, json={"done": self.done})


@pytest.fixture
def service() -> Counter:
    return Counter(sleep=lambda _: None)


@pytest.fixture
def client(service: Counter) -> Iterator[httpx.Client]:
    transport = httpx.MockTransport(service)
    with httpx.Client(transport=transport, base_url="http://service") as client:
        yield client


def form(*parts: bytes, end: bytes = b"--xyz--\r\n") -> Body:
    return Body([b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + end])


FIELD = b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1'
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a%22b.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\nRIFF\r\n--not the end\x00"
)


# --- memory -----------------------------------------------------------------------------------


def test_requests_are_remembered_in_order(service: Counter, client: httpx.Client) -> None:
    client.post("/a?x=1", json={"b": 1}, headers={"api-key": "k"})
    client.get("/refused")

    first, second = service.requests
    assert (first.route, first.params, first.json, first.status) == (
        "POST /a",
        {"x": "1"},
        {"b": 1},
        200,
    )
    assert first.headers["API-KEY"] == "k"
    assert (second.route, second.status, second.number) == ("GET /refused", 403, 1)
    assert service.requests.to("GET", "/refused") == [second]


def test_a_large_body_is_kept_on_disk_and_a_small_one_in_memory(
    service: Counter, client: httpx.Client
) -> None:
    pieces = [bytes([n]) * 100_000 for n in range(30)]

    client.post("/a", content=iter(pieces))
    client.post("/a", content=b"small")

    large, small = (request.body for request in service.requests)
    assert (large.in_memory, small.in_memory) == (False, True)
    assert large.content == b"".join(pieces)
    assert b"".join(large.pieces(99_999, 200_001)) == b"\0" + pieces[1] + b"\2"
    assert large.find(b"\5") == 500_000
    assert large.size == 3_000_000 > IN_MEMORY


def test_bodies_are_forgotten_where_that_is_asked_for() -> None:
    service = Counter(keep_bodies=False)
    with httpx.Client(transport=httpx.MockTransport(service), base_url="http://x") as client:
        client.post("/a", content=b"12345")

    assert (service.requests[0].body.size, service.requests[0].body.content) == (5, b"")


def test_ids_are_never_the_same(service: Counter) -> None:
    assert len({service.new_id() for _ in range(100)}) == 100


def test_how_many_requests_were_answered_at_once_is_known(service: Counter) -> None:
    gates = [Gate(), Gate(), Gate()]
    service.failures.extend(gates)
    request = httpx.Request("GET", "http://service/a")
    threads = [threading.Thread(target=service, args=(request,)) for _ in gates]

    for thread in threads:
        thread.start()
    for gate in gates:
        assert gate.arrived.wait(10)
        assert service.done == 0
    for gate in gates:
        gate.open()
    for thread in threads:
        thread.join(10)

    assert (service.most_at_once, service.at_once, service.done) == (3, 0, 3)


# --- failures ---------------------------------------------------------------------------------


def test_a_queued_answer_is_given_once_and_the_work_is_not_done(
    service: Counter, client: httpx.Client
) -> None:
    service.failures.append(httpx.Response(503, text="later"))

    assert [client.get("/a").status_code for _ in range(2)] == [503, 200]
    assert service.done == 1


def test_none_lets_a_request_pass(service: Counter, client: httpx.Client) -> None:
    service.failures.extend([None, httpx.Response(500), None])

    assert [client.get("/a").status_code for _ in range(4)] == [200, 500, 200, 200]


def test_failures_can_be_meant_for_one_route(service: Counter, client: httpx.Client) -> None:
    service.failures.add(httpx.Response(500), route="GET /results/*", times=2)

    codes = [
        client.get(path).status_code for path in ("/a", "/results/1", "/results/2", "/results/3")
    ]

    assert codes == [200, 500, 500, 200]
    assert len(service.failures) == 0


def test_a_failure_can_go_on_for_ever_until_it_is_cleared(
    service: Counter, client: httpx.Client
) -> None:
    service.failures.add(httpx.Response(429, json={"a": 1}), times=math.inf)

    assert [client.get("/a").json() for _ in range(5)] == [{"a": 1}] * 5
    service.failures.clear()
    assert client.get("/a").status_code == 200


def test_exceptions_and_functions_may_be_queued(service: Counter, client: httpx.Client) -> None:
    service.failures.add(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout,
        lambda request: httpx.Response(400, text=request.headers["api-key"]),
    )

    with pytest.raises(httpx.ConnectError, match="refused"):
        client.get("/a")
    with pytest.raises(httpx.ReadTimeout):
        client.get("/a")
    assert client.get("/a", headers={"api-key": "k"}).text == "k"


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (Drop("reset"), httpx.ReadError),
        (Drop("close"), httpx.RemoteProtocolError),
        (Drop("stall"), httpx.ReadTimeout),
        (Drop("reset", reading=1), httpx.WriteError),
        (Drop("stall", reading=1), httpx.WriteTimeout),
        (Raw(b"SSH-2.0-OpenSSH\r\n"), httpx.RemoteProtocolError),
    ],
)
def test_a_broken_connection_is_an_error_of_httpx_in_process(
    service: Counter, client: httpx.Client, item: Drop | Raw, error: type[Exception]
) -> None:
    service.failures.append(item)

    with pytest.raises(error):
        client.post("/a", content=b"12345")

    assert service.done == 0
    assert all(request.status is None for request in service.requests)


def test_an_answer_may_break_off_although_the_work_is_done(
    service: Counter, client: httpx.Client
) -> None:
    service.failures.append(Drop("reset", writing=4))

    with client.stream("GET", "/a") as response, pytest.raises(httpx.ReadError):
        response.read()

    assert service.done == 1


def test_work_may_be_done_although_the_answer_is_a_failure(
    service: Counter, client: httpx.Client
) -> None:
    service.failures.extend([After(httpx.Response(504)), After(Drop("reset"))])

    assert client.get("/a").status_code == 504
    with pytest.raises(httpx.ReadError):
        client.get("/a")
    assert service.done == 2


def test_an_answer_may_come_late_or_slowly() -> None:
    naps: list[float] = []
    service = Counter(sleep=naps.append)
    service.failures.extend([Delay(2.5), Delay(1, then=httpx.Response(500)), Drip(0.1)])
    with httpx.Client(transport=httpx.MockTransport(service), base_url="http://x") as client:
        codes = [client.get("/a").status_code for _ in range(3)]

    assert (codes, naps) == ([200, 500, 200], [2.5, 1])


# --- forms ------------------------------------------------------------------------------------


def test_the_parts_of_a_form_come_in_their_order_with_all_their_bytes() -> None:
    parts = parse_form(HEAD, form(FIELD, FILE))

    assert [(p.name, p.filename, p.content_type) for p in parts] == [
        ("model", None, None),
        ("file", "a%22b.wav", "audio/wav"),
    ]
    assert parts[0].text == "whisper-1"
    assert parts[1].content == b"RIFF\r\n--not the end\x00"
    assert parts[1].size == len(parts[1].content)


def test_what_httpx_sends_is_a_strict_form() -> None:
    data = bytes(range(256)) * 8_000
    request = httpx.Request(
        "POST", "http://x", data={"a": "ä"}, files={"f": ("x.wav", io.BytesIO(data), "audio/wav")}
    )

    parts = parse_form(request.headers["content-type"], Body([request.read()]))

    assert [part.name for part in parts] == ["a", "f"]
    assert parts[0].text == "ä"
    assert parts[1].content == data
    with parts[1].open() as file:
        file.seek(-3, io.SEEK_END)
        assert (file.read(), file.tell()) == (b"\xfd\xfe\xff", len(data))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", form(FIELD)),
        ("multipart/form-data", form(FIELD)),
        ("multipart/form-data; boundary=other", form(FIELD)),
        (HEAD, form(FIELD, end=b"")),
        (HEAD, form(FIELD, end=b"--xyz--\r\nmore")),
        (HEAD, form(FIELD, end=b"--xyz-\r\n")),
        (HEAD, Body([b"preamble\r\n--xyz\r\n" + FIELD + b"\r\n--xyz--"])),
        (HEAD, form(b"Content-Disposition: form-data\r\n\r\nx")),
        (HEAD, form(b'Content-Disposition: form-data; name="a"\r\nX-Evil: 1\r\n\r\nx')),
        (HEAD, form(b'Content-Disposition: form-data; name="a"; filename="b"c"\r\n\r\nx')),
        (HEAD, form(b'Content-Disposition: form-data; name="a\nb"\r\n\r\nx')),
        (HEAD, form(b'Content-Disposition: form-data; name="\xff"\r\n\r\nx')),
        (HEAD, form(b"no headers")),
    ],
)
def test_a_form_that_is_not_to_the_letter_is_refused(content_type: str, body: Body) -> None:
    with pytest.raises(MalformedForm):
        parse_form(content_type, body)


def test_a_service_answers_a_malformed_form_with_400(client: httpx.Client) -> None:
    assert client.post("/form", content=b"x").status_code == 400


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b"\xff", b"{"])
def test_json_that_is_not_to_the_letter_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json(text)


def test_unknown_fields_are_named() -> None:
    assert unknown_fields({"a": 1, "c": 2, "b": 3}, {"a"}) == ["b", "c"]
