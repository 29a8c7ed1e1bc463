from __future__ import annotations

from asrcli.protocol.answers import Answers


def test_a_response_answers_the_utterance_committed_last_and_passes_over_those_before() -> None:
    answers = Answers()

    passed = answers.begin("R", ["U1", "U2", "U3"])

    assert [answer.item for answer in passed] == ["U1", "U2"]
    bound = answers.by("R")
    assert bound is not None
    assert bound.item == "U3"


def test_a_response_that_was_asked_for_answers_the_utterance_it_was_asked_for() -> None:
    answers = Answers()
    answers.of("U1").asked = True

    answers.begin("R", ["U1", "U2"])

    bound = answers.by("R")
    assert bound is not None
    assert bound.item == "U1"


def test_a_response_to_nothing_is_bound_to_nothing() -> None:
    answers = Answers()

    assert answers.begin("R", []) == []
    assert answers.by("R") is None


def test_the_service_s_item_moves_a_response_to_the_utterance_it_follows() -> None:
    answers = Answers()
    answers.begin("R", ["U1", "U2"])
    answers.follows("A", "U1")

    answers.belongs("R", "A")

    bound = answers.by("R")
    assert bound is not None
    assert bound.item == "U1"
    assert not answers.of("U1").passed_over
    assert answers.of("U2").response is None


def test_a_response_to_an_utterance_that_is_settled_belongs_to_nothing() -> None:
    answers = Answers()
    answers.begin("R", ["U1"])
    answers.forget("U1")
    answers.begin("R", ["U2"])

    assert answers.by("R") is None
    assert answers.answering() == []
