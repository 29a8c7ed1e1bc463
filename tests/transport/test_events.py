from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrcli.errors import AsrError, KeyRefusedError, NetworkError, Retry, UnexpectedAnswerError
from asrcli.transport.events import EventReader, ServerEvent
from asrcli.transport.http import Answer
from tests.faults.byte_server import ByteServer, Peer, Step, close, json_answer, raw, reset, sse
from tests.faults.byte_server import http as http_answer
from tests.transport.rig import FakeTime, connection, make_client, make_retrier


def read(data: bytes) -> list[ServerEvent]:
    return EventReader().feed(data)


def test_events_of_dashscope_keep_their_id_name_status_and_data() -> None:
    data = b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a": 1}\n\n'

    (event,) = read(data)

    assert (event.id, event.event, event.data) == ("1", "result", '{"a": 1}')
    assert event.comments == ("HTTP_STATUS/200",)
    assert event.http_status == 200


def test_a_status_as_a_field_is_kept_too() -> None:
    (event,) = read(b"event:error\nstatus:400\ndata:{}\n\n")

    assert event.http_status == 400


def test_events_of_openai_need_no_name() -> None:
    events = read(b'data: {"a": 1}\n\ndata: [DONE]\n\n')

    assert [event.data for event in events] == ['{"a": 1}', "[DONE]"]
    assert {event.event for event in events} == {"message"}


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_any_end_of_line_ends_a_line(end: bytes) -> None:
    lines = [b"event: x", b"data: 1", b"", b"data: 2", b""]

    assert [event.data for event in read(end.join([*lines, b""]))] == ["1", "2"]


def test_data_of_several_lines_is_joined() -> None:
    assert read(b"data: a\ndata:\ndata:  b\n\n")[0].data == "a\n\n b"


def test_comments_alone_are_no_event() -> None:
    assert read(b": ping\n\n:\n\n\n\nretry: 10\n\n") == []


def test_an_event_without_its_blank_line_is_not_given() -> None:
    assert read(b"data: 1\n\ndata: 2\n") == read(b"data: 1\n\n")


def test_a_mark_at_the_beginning_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbfdata: 1\n\n")[0].data == "1"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert read(b"data: a\xffb\n\n")[0].data == "a\ufffdb"


def test_a_frame_without_end_is_refused() -> None:
    reader = EventReader(most_frame=1000)

    reader.feed(b"data: " + b"x" * 500)

    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        reader.feed(b"x" * 500)


LINES = st.lists(
    st.sampled_from(
        [b"data: a", b"data:b", b"data", b"event: e", b"id: 7", b": c", b"", b"x: y", b"\xc3\xa9"]
    ),
    max_size=30,
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(LINES, st.lists(ENDS, min_size=30, max_size=30), st.lists(st.integers(1, 5), max_size=99))
def test_events_do_not_depend_on_how_the_bytes_come(
    lines: list[bytes], ends: list[bytes], sizes: list[int]
) -> None:
    data = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    reader, events, at = EventReader(), [], 0
    for size in sizes:
        events += reader.feed(data[at : at + size])
        at += size
    events += reader.feed(data[at:])

    assert events == read(data)


# --- the stream of a call ---------------------------------------------------------------------

TWO = b"data: 1\n\ndata: 2\n\n"


def texts(server: ByteServer, **settings: float) -> list[str]:
    client = make_client(server.url, settings=connection(**settings))
    try:
        return [event.data for event in client.events("x", {})]
    finally:
        client.close()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_events_are_given_until_the_connection_ends(framing: str) -> None:
    step: Step = close(sse(TWO, framing=framing))
    with ByteServer(otherwise=step) as server:
        assert texts(server) == ["1", "2"]

    assert server.requests[0].headers["accept"] == "text/event-stream"


def test_an_event_is_given_before_the_next_one_came() -> None:
    import threading

    seen = threading.Event()

    def step(peer: Peer) -> None:
        peer.send(sse(b"data: 1\n\n", framing="close"))
        assert seen.wait(10)
        peer.send(b"data: 2\n\n")
        peer.close()

    with ByteServer(otherwise=step) as server:
        client = make_client(server.url)
        events = client.events("x", {})
        assert next(events).data == "1"
        seen.set()
        assert next(events).data == "2"
        client.close()


def test_a_stream_that_breaks_before_its_first_event_is_asked_for_once_more() -> None:
    broken = [reset(sse(b": ping\n\n", framing="close"))]
    with ByteServer(broken, otherwise=close(sse(TWO))) as server:
        client = make_client(server.url)
        events = list(client.events("x", {}))
        client.close()

    assert [event.data for event in events] == ["1", "2"]
    assert all(event.possible_duplicate for event in events)


def test_a_stream_without_any_event_is_asked_for_once_more() -> None:
    with ByteServer([close(sse(b"", framing="close"))], otherwise=close(sse(TWO))) as server:
        assert texts(server) == ["1", "2"]


def test_a_stream_that_breaks_later_is_an_unclear_failure_and_not_sent_again() -> None:
    with ByteServer(otherwise=reset(sse(b"data: 1\n\n", framing="close"))) as server:
        client = make_client(server.url)
        events = client.events("x", {})
        assert next(events).data == "1"
        with pytest.raises(NetworkError) as caught:
            next(events)
        client.close()

    assert caught.value.retry is Retry.AMBIGUOUS
    assert len(server.requests) == 1


def test_a_stream_that_stalls_ends_with_the_idle_limit() -> None:
    def step(peer: Peer) -> None:
        peer.send(sse(b"data: 1\n\n", framing="close"))
        peer.wait_until_left()

    with ByteServer(otherwise=step) as server, pytest.raises(NetworkError, match="nothing more"):
        texts(server, idle_timeout=0.1)


def test_a_stream_may_be_slow() -> None:
    def step(peer: Peer) -> None:
        peer.send(sse(b"", framing="close"))
        for _ in range(20):
            peer.server.stopped.wait(0.02)
            peer.send(b"data: 1\n\n")
        peer.close()

    with ByteServer(otherwise=step) as server:
        assert len(texts(server, idle_timeout=0.15, min_speed=100_000.0)) == 20


def refusing(answer: Answer) -> AsrError | None:
    if b"InvalidApiKey" in answer.body:
        return KeyRefusedError("svc", "no", code="InvalidApiKey", http_status=answer.status)
    if b"Throttling" in answer.body:
        from asrcli.errors import RateLimitedError

        return RateLimitedError("svc", "slower", http_status=answer.status)
    return None


REFUSED = b'id:1\nevent:error\n:HTTP_STATUS/401\ndata:{"code":"InvalidApiKey"}\n\n'


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(401, b'{"code":"InvalidApiKey"}', {"Content-Type": "application/json"}),
        http_answer(401, REFUSED, {"Content-Type": "text/event-stream"}),
        sse(REFUSED),
        http_answer(200, b'{"code":"InvalidApiKey"}', {"Content-Type": "application/json"}),
    ],
    ids=["status", "status and event", "event", "body with 200"],
)
def test_a_failure_in_place_of_the_stream_is_read_wherever_it_stands(answer: bytes) -> None:
    with ByteServer(otherwise=raw(answer)) as server:
        client = make_client(server.url, read_failure=refusing)
        with pytest.raises(KeyRefusedError):
            list(client.events("x", {}))
        client.close()

    assert len(server.requests) == 1


def test_a_stream_that_begins_with_a_rate_limit_is_asked_for_later() -> None:
    time = FakeTime()
    limited = sse(b"event:error\n:HTTP_STATUS/429\ndata:Throttling\n\n")
    with ByteServer([raw(limited)], otherwise=close(sse(TWO))) as server:
        client = make_client(server.url, read_failure=refusing, retrier=make_retrier(time))
        assert len(list(client.events("x", {}))) == 2
        client.close()

    assert time.waited > 0


def test_an_answer_that_is_no_stream_is_unexpected() -> None:
    with (
        ByteServer(otherwise=json_answer({"text": "all at once"})) as server,
        pytest.raises(UnexpectedAnswerError, match="stream of events"),
    ):
        texts(server)


def test_a_stream_that_is_left_early_gives_its_place_and_its_connection_back() -> None:
    with ByteServer(otherwise=close(sse(TWO * 1000))) as server:
        retrier = make_retrier(FakeTime(), limit=1)
        client = make_client(server.url, retrier=retrier)
        for _ in range(3):
            events = client.events("x", {})
            assert next(events).data == "1"
            events.close()  # type: ignore[attr-defined]
        client.close()
