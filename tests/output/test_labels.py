"""Who speaks, in words."""

from __future__ import annotations

import pytest

from asrcli.output.labels import labels
from asrcli.transcript import Segment, Transcript


def labelled(*segments: Segment) -> list[str | None] | None:
    label = labels(Transcript(segments, "test", "model"))
    return None if label is None else [label(segment) for segment in segments]


def test_nothing_is_labelled_where_nothing_tells_segments_apart() -> None:
    assert labelled() is None
    assert labelled(Segment("a"), Segment("b", speaker="")) is None
    assert labelled(Segment("a", channel=1), Segment("b", channel=1)) is None


@pytest.mark.parametrize(
    ("speaker", "label"),
    [("Alice", "Alice"), ("0", "Speaker 0"), ("Speaker 2", "Speaker 2"), ("A\n\x1bB", "A B")],
)
def test_a_speaker_is_called_as_the_service_does_but_a_number_is_explained(
    speaker: str, label: str
) -> None:
    assert labelled(Segment("a", speaker=speaker)) == [label]


def test_a_segment_of_nobody_has_no_label() -> None:
    assert labelled(Segment("a", speaker="Alice"), Segment("b")) == ["Alice", None]


def test_channels_are_told_apart_and_combined_with_speakers() -> None:
    found = Segment("a", channel=0), Segment("b", channel=1, speaker="Bob"), Segment("c")

    assert labelled(*found) == ["Channel 0", "Channel 1, Bob", None]
