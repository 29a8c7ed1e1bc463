from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.media.places import RATE, Place, Span

TWO = Place((Span(0, 10 * RATE, 2 * RATE), Span(2 * RATE, 100 * RATE, 5 * RATE)))
"""Two seconds from 0:10 on, then five from 1:40 on."""


@st.composite
def places(draw: st.DrawFn) -> Place:
    spans: list[Span] = []
    inside = source = 0
    for _ in range(draw(st.integers(1, 5))):
        source += draw(st.integers(0, 100 * RATE))
        spans.append(Span(inside, source, draw(st.integers(1, 10 * RATE))))
        inside += spans[-1].length
        source += spans[-1].length
    return Place(tuple(spans))


def test_a_place_knows_its_bounds_and_how_much_there_is_to_send() -> None:
    assert (TWO.start, TWO.end, TWO.seconds) == (10.0, 105.0, 7.0)


def test_a_moment_is_found_again_to_the_sample() -> None:
    assert TWO.in_source(1.5) == 11.5
    assert TWO.in_source(2 - 1 / RATE) == 12 - 1 / RATE
    assert TWO.in_source(2.0) == 100.0
    assert TWO.in_source(2 + 1 / RATE) == 100 + 1 / RATE


def test_a_moment_beyond_the_sound_is_its_end() -> None:
    assert TWO.in_source(9.0) == 105.0
    assert TWO.in_source(-1.0) == 10.0


def test_a_stretch_on_both_sides_of_a_silence_reaches_over_it() -> None:
    assert TWO.times(1.0, 3.0) == (11.0, 101.0)


def test_a_word_that_just_reaches_into_the_quiet_behind_a_silence_ends_before_it() -> None:
    assert TWO.times(1.0, 2.3) == (11.0, 12.0)
    assert TWO.times(1.0, 2.0) == (11.0, 12.0)


def test_a_word_that_begins_in_the_quiet_before_a_silence_begins_behind_it() -> None:
    assert TWO.times(1.8, 3.0) == (100.0, 101.0)
    assert TWO.times(2.0, 3.0) == (100.0, 101.0)


def test_an_end_before_the_start_is_no_stretch() -> None:
    assert TWO.times(1.0, 0.5) == (11.0, 11.0)


@settings(max_examples=200, deadline=None, database=None)
@given(place=places(), moments=st.lists(st.floats(-1, 60), min_size=2, max_size=8))
def test_times_never_go_backwards(place: Place, moments: list[float]) -> None:
    moments.sort()

    found = [place.in_source(moment) for moment in moments]

    assert found == sorted(found)
    assert all(place.start <= moment <= place.end for moment in found)


@settings(max_examples=200, deadline=None, database=None)
@given(place=places(), start=st.floats(-1, 60), length=st.floats(-1, 30))
def test_a_stretch_ends_behind_its_start_and_inside_of_the_place(
    place: Place, start: float, length: float
) -> None:
    first, last = place.times(start, start + length)

    assert place.start <= first <= last <= place.end
