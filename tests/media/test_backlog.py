"""What was said and not yet answered for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.media.backlog import Backlog

RATE = 100


def sound(first: int, count: int) -> Any:
    """Samples that tell where they belong."""
    return (np.arange(first, first + count) % 30_000 / 32_768).astype(np.float32)


def kept(backlog: Backlog, seconds: float = 0.0) -> tuple[float | None, list[int]]:
    """Where what is kept begins, and its samples as numbers."""
    stretches = list(backlog.since(seconds))
    numbers = [round(float(s) * 32_768) for part in stretches for s in part.samples]
    return (stretches[0].start if stretches else None), numbers


def small(folder: Path | None = None) -> Backlog:
    return Backlog(sample_rate=RATE, memory_seconds=1.0, most_seconds=5.0, folder=folder)


@pytest.fixture
def backlog() -> Iterator[Backlog]:
    """A second in memory, five in all."""
    with small() as made:
        yield made


def test_everything_is_kept_until_it_is_answered_for(backlog: Backlog) -> None:
    for number in range(30):
        backlog.append(sound(number * 10, 10))

    assert kept(backlog) == (0.0, list(range(300)))
    assert backlog.seconds == backlog.end == 3.0


def test_it_is_read_from_any_moment_to_the_sample(backlog: Backlog) -> None:
    for number in range(30):
        backlog.append(sound(number * 10, 10))

    assert kept(backlog, 1.23) == (1.23, list(range(123, 300)))
    assert kept(backlog, 2.99) == (2.99, [299])
    assert kept(backlog, 3.0) == (None, [])


def test_what_was_answered_for_is_forgotten_to_the_sample(backlog: Backlog) -> None:
    for number in range(30):
        backlog.append(sound(number * 10, 10))
    backlog.discard_before(2.57)

    assert kept(backlog) == (2.57, list(range(257, 300)))
    assert backlog.dropped == 0


def test_beyond_what_may_be_kept_the_oldest_are_dropped_and_counted(backlog: Backlog) -> None:
    for number in range(72):
        backlog.append(sound(number * 10, 10))

    assert kept(backlog) == (2.2, list(range(220, 720)))
    assert backlog.dropped == pytest.approx(2.2)


def test_only_what_does_not_fit_into_memory_is_on_disk(tmp_path: Path) -> None:
    before = small(tmp_path / "missing")
    before.append(sound(0, 100))

    assert before.failure is None


def test_the_file_has_no_name(tmp_path: Path) -> None:
    backlog = small(tmp_path)
    for number in range(30):
        backlog.append(sound(number * 10, 10))

    assert list(tmp_path.iterdir()) == []
    assert len(kept(backlog)[1]) == 300
    backlog.close()


def test_without_a_disk_what_fits_into_memory_is_kept(tmp_path: Path) -> None:
    backlog = small(tmp_path / "missing")
    for number in range(30):
        backlog.append(sound(number * 10, 10))

    assert isinstance(backlog.failure, FileNotFoundError)
    assert kept(backlog) == (2.0, list(range(200, 300)))
    assert backlog.dropped == 2.0


def test_reading_goes_on_with_what_is_appended_meanwhile(backlog: Backlog) -> None:
    backlog.append(sound(0, 10))
    stretches = backlog.since(0)
    next(stretches)
    backlog.append(sound(10, 10))

    assert next(stretches).start == 0.1


def test_reading_leaves_out_what_was_discarded_meanwhile_and_says_so(backlog: Backlog) -> None:
    backlog.append(sound(0, 100))
    stretches = backlog.since(0)
    next(stretches)
    backlog.discard_before(0.55)

    assert [stretch.start for stretch in stretches] == [0.55, 0.65, 0.75, 0.85, 0.95]


def test_several_threads_may_use_it(backlog: Backlog) -> None:
    seen: list[int] = []

    def read() -> None:
        at = 0.0
        while at < 40.0:
            for stretch in backlog.since(at):
                first = round(stretch.start * RATE)
                assert round(float(stretch.samples[0]) * 32_768) == first
                at = stretch.start + len(stretch.samples) / RATE
                seen.append(first)
                backlog.discard_before(at)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(400):
        backlog.append(sound(number * 10, 10))
    reader.join(30)

    assert not reader.is_alive()
    assert seen == sorted(seen)
    assert backlog.seconds == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 700)),
        st.tuples(st.just("discard"), st.integers(0, 3_000)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_it_keeps_what_a_simple_list_would(steps: list[tuple[str, int]]) -> None:
    backlog = small()
    first = stop = dropped = 0
    for what, number in steps:
        if what == "append":
            backlog.append(sound(stop, number))
            stop += number
            oldest = max(first, stop - 500)
            dropped += oldest - first
            first = oldest
        else:
            backlog.discard_before(number / RATE)
            first = max(first, min(stop, number))

    start, numbers = kept(backlog)
    backlog.close()
    assert numbers == list(range(first, stop))
    assert start == (first / RATE if numbers else None)
    assert round(backlog.dropped * RATE) == dropped
