from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from asrcli.errors import (
    AsrError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    Retry,
    ServiceError,
    TimeLimitError,
)
from asrcli.transport.retry import RetryPolicy, read_retry_after
from tests.transport.rig import FakeTime, make_retrier


def failed(status: int = 500) -> ServiceError:
    return ServiceError("svc", "it failed", http_status=status, retry=Retry.TRANSIENT)


def unclear() -> NetworkError:
    return NetworkError("svc", "the connection was reset", retry=Retry.AMBIGUOUS)


def unreachable() -> NetworkError:
    return NetworkError("svc", "refused", retry=Retry.TRANSIENT)


def limited(retry_after: float | None = None) -> RateLimitedError:
    return RateLimitedError("svc", "too many", http_status=429, retry_after=retry_after)


class Script:
    """A call that raises or gives what it is told, the last one for ever."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = outcomes
        self.calls = 0

    def __call__(self) -> Any:
        outcome = self.outcomes[min(self.calls, len(self.outcomes) - 1)]
        self.calls += 1
        if isinstance(outcome, type) or callable(outcome):
            outcome = outcome()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def test_a_transient_failure_is_tried_again(time: FakeTime) -> None:
    call = Script(failed, failed, "text")

    assert make_retrier(time).run(call) == "text"
    assert call.calls == 3


def test_tries_are_exact_and_the_last_error_is_raised(time: FakeTime) -> None:
    call = Script(failed)

    with pytest.raises(ServiceError):
        make_retrier(time, policy=RetryPolicy(retries=2)).run(call)

    assert call.calls == 3


def test_without_retries_there_is_one_call(time: FakeTime) -> None:
    call = Script(failed)

    with pytest.raises(ServiceError):
        make_retrier(time, policy=RetryPolicy(retries=0)).run(call)

    assert call.calls == 1
    assert time.waited == 0


def test_pauses_double_up_to_the_cap(time: FakeTime) -> None:
    policy = RetryPolicy(retries=8, base=0.5, cap=8.0)

    with pytest.raises(ServiceError):
        make_retrier(time, policy=policy, random=lambda: 1.0).run(Script(failed))

    assert time.waited == pytest.approx(0.5 + 1 + 2 + 4 + 8 + 8 + 8 + 8)


def test_pauses_are_drawn_from_the_whole_range(time: FakeTime) -> None:
    with pytest.raises(ServiceError):
        make_retrier(time, random=lambda: 0.0).run(Script(failed))

    assert time.waited == 0


def test_a_final_failure_is_not_tried_again(time: FakeTime) -> None:
    call = Script(KeyRefusedError("svc", "no", http_status=401))

    with pytest.raises(KeyRefusedError):
        make_retrier(time).run(call)

    assert call.calls == 1


def test_a_mistake_of_ours_is_raised_and_leaves_its_place_at_the_gate(time: FakeTime) -> None:
    retrier = make_retrier(time, limit=1)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            retrier.run(Script(ZeroDivisionError()))


# --- calls that may cost something ------------------------------------------------------------


def test_an_unclear_failure_of_a_costly_call_is_resent_once_and_said(time: FakeTime) -> None:
    call = Script(unclear, "text")

    held = make_retrier(time).hold(call, ambiguous=True)

    assert (held.value, held.resent, call.calls) == ("text", True, 2)


def test_a_second_unclear_failure_ends_a_costly_call(time: FakeTime) -> None:
    call = Script(unclear)

    with pytest.raises(NetworkError) as caught:
        make_retrier(time).run(call, ambiguous=True)

    assert call.calls == 2
    assert caught.value.possible_duplicate


def test_refusals_between_do_not_allow_a_second_resend(time: FakeTime) -> None:
    call = Script(failed, unclear, failed, unclear, "never")

    with pytest.raises(NetworkError):
        make_retrier(time).run(call, ambiguous=True)

    assert call.calls == 4


def test_any_error_after_a_resend_says_that_there_may_be_two(time: FakeTime) -> None:
    call = Script(unclear, KeyRefusedError("svc", "no", http_status=401))

    with pytest.raises(KeyRefusedError) as caught:
        make_retrier(time).run(call, ambiguous=True)

    assert caught.value.possible_duplicate


def test_an_unclear_failure_of_a_free_call_is_tried_again_freely(time: FakeTime) -> None:
    call = Script(unclear, unclear, unclear, "text")

    held = make_retrier(time).hold(call, ambiguous=False)

    assert (held.value, held.resent) == ("text", False)


@pytest.mark.parametrize("again", [limited, lambda: failed(503), unreachable])
def test_a_submit_that_was_surely_not_carried_out_is_tried_again(
    time: FakeTime, again: Callable[[], AsrError]
) -> None:
    assert make_retrier(time).run(Script(again, "job"), ambiguous=True, submit=True) == "job"


@pytest.mark.parametrize("error", [unclear, failed, lambda: failed(502), lambda: failed(408)])
def test_a_submit_that_may_have_been_carried_out_is_left_to_the_caller(
    time: FakeTime, error: Callable[[], AsrError]
) -> None:
    call = Script(error)

    with pytest.raises(AsrError) as caught:
        make_retrier(time).run(call, ambiguous=True, submit=True)

    assert call.calls == 1
    assert caught.value.retry is Retry.AMBIGUOUS


def test_a_call_that_used_up_its_time_is_not_given_as_much_again(time: FakeTime) -> None:
    call = Script(TimeLimitError("svc", "too long", retry=Retry.AMBIGUOUS))

    with pytest.raises(TimeLimitError):
        make_retrier(time).run(call, ambiguous=False)

    assert call.calls == 1


# --- limits of the service --------------------------------------------------------------------


def test_the_time_that_a_service_asks_for_is_waited(time: FakeTime) -> None:
    make_retrier(time).run(Script(limited(2.0), "text"))

    assert time.waited == pytest.approx(2.0)


def test_a_service_that_asks_for_too_long_is_not_waited_for(time: FakeTime) -> None:
    call = Script(limited(121.0))

    with pytest.raises(RateLimitedError) as caught:
        make_retrier(time).run(call)

    assert call.calls == 1
    assert caught.value.retryable


def test_a_rate_limit_for_ever_ends_with_its_error(time: FakeTime) -> None:
    call = Script(limited)

    with pytest.raises(RateLimitedError) as caught:
        make_retrier(time).run(call)

    assert call.calls == 5
    assert caught.value.exit_status == 5
    assert "--rpm" in (caught.value.hint or "")


def test_a_pause_is_told_once_with_its_reason(time: FakeTime) -> None:
    told: list[tuple[str, float]] = []
    retrier = make_retrier(time, on_wait=lambda reason, seconds: told.append((reason, seconds)))

    retrier.run(Script(limited(2.0), "text"))

    assert told == [("rate limited by svc", 2.0)]


def test_a_service_that_is_down_for_a_time_it_names_is_waited_for(time: FakeTime) -> None:
    error = ServiceError("svc", "down", http_status=503, retry=Retry.TRANSIENT, retry_after=7.0)

    make_retrier(time).run(Script(error, "text"))

    assert time.waited == pytest.approx(7.0)


# --- the budget of a run ----------------------------------------------------------------------


def test_when_too_many_calls_failed_the_next_failure_is_final_and_says_so(time: FakeTime) -> None:
    retrier = make_retrier(time, policy=RetryPolicy(retries=100, budget=20))
    call = Script(failed)

    with pytest.raises(ServiceError, match="too many calls of this run failed"):
        retrier.run(call)

    assert call.calls == 5  # four retries of 5 tokens each


def test_successes_pay_back(time: FakeTime) -> None:
    retrier = make_retrier(time, policy=RetryPolicy(budget=5))
    retrier.run(Script(failed, "text"))
    for _ in range(4):
        retrier.run(Script("text"))

    assert retrier.run(Script(failed, "text")) == "text"


def test_a_time_out_costs_twice_as_much(time: FakeTime) -> None:
    retrier = make_retrier(time, policy=RetryPolicy(retries=100, budget=20))

    def slow() -> Any:
        try:
            raise TimeoutError
        except TimeoutError as error:
            raise NetworkError("svc", "slow", retry=Retry.AMBIGUOUS) from error

    calls = Script(slow)
    with pytest.raises(NetworkError):
        retrier.run(calls)

    assert calls.calls == 3


# --- a network that goes away -----------------------------------------------------------------


def test_a_host_that_was_never_reached_gets_only_the_usual_tries(time: FakeTime) -> None:
    call = Script(unreachable)

    with pytest.raises(NetworkError):
        make_retrier(time).run(call)

    assert call.calls == 5
    assert time.waited < 10


def test_a_network_that_is_gone_for_a_minute_is_waited_for(time: FakeTime) -> None:
    told: list[str] = []
    retrier = make_retrier(time, on_wait=lambda reason, _: told.append(reason))
    retrier.run(Script("text"))
    back = time.now + 60

    def call() -> str:
        if time.now < back:
            raise unreachable()
        return "text"

    assert retrier.run(call) == "text"
    assert told == ["waiting for the network to reach svc"]


def test_a_network_that_stays_away_is_given_up(time: FakeTime) -> None:
    retrier = make_retrier(time)
    retrier.run(Script("text"))
    began = time.now

    with pytest.raises(NetworkError):
        retrier.run(Script(unreachable))

    assert 120 <= time.now - began < 140


def test_a_call_that_alone_fails_is_not_tried_for_ever(time: FakeTime) -> None:
    retrier = make_retrier(time, limit=2)
    retrier.run(Script("text"))
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        retrier._throttle.answered()  # another thread was answered meanwhile
        raise unreachable()

    with pytest.raises(NetworkError):
        retrier.run(call)

    assert calls == 5


# --- giving up --------------------------------------------------------------------------------


def test_nothing_is_called_once_the_run_is_given_up(time: FakeTime) -> None:
    call = Script("text")

    with pytest.raises(NetworkError) as caught:
        make_retrier(time, cancelled=lambda: True).run(call)

    assert caught.value.code == "cancelled"
    assert call.calls == 0


def test_a_wait_ends_when_the_run_is_given_up(time: FakeTime) -> None:
    retrier = make_retrier(time, cancelled=lambda: time.now > 1003)

    with pytest.raises(RateLimitedError):
        retrier.run(Script(limited(100.0)))

    assert time.waited < 4


# --- Retry-After ------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        (" 2.5 ", 2.5),
        ("1e9", 1e9),
        ("0", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 30.0),
        ("nan", None),
        ("inf", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 400, None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_else_not_at_all(
    value: str | None, seconds: float | None
) -> None:
    assert read_retry_after(value, now=lambda: NOON) == seconds
