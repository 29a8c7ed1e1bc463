from __future__ import annotations

from asrcli.protocol.ledger import Ledger, Utterance


def opened(ledger: Ledger, name: str, *, start: float | None = None) -> Utterance:
    utterance = ledger.open(name)
    assert utterance is not None
    utterance.start = start
    return utterance


def settle(utterance: Utterance, text: str, *, end: float | None = None) -> None:
    utterance.text, utterance.end, utterance.settled = text, end, True


def test_a_final_waits_for_the_utterance_before_it() -> None:
    ledger = Ledger()
    first, second = opened(ledger, "a"), opened(ledger, "b")

    settle(second, "two")
    early = ledger.release()
    settle(first, "one")

    assert early == []
    assert [final.text for final in ledger.release()] == ["one", "two"]


def test_an_utterance_that_never_ends_is_taken_as_it_stands_after_five_later_finals() -> None:
    ledger = Ledger()
    opened(ledger, "lost").text = "half a"
    released = []
    for number in range(5):
        settle(opened(ledger, f"later {number}"), str(number))
        released.append([(final.text, final.complete) for final in ledger.release()])

    assert released[:4] == [[], [], [], []]
    assert released[4] == [("half a", False), *((str(n), True) for n in range(5))]


def test_an_utterance_that_promised_nothing_holds_nobody_back() -> None:
    ledger = Ledger()
    opened(ledger, "noise").promised = False
    settle(opened(ledger, "speech"), "yes")

    assert [final.text for final in ledger.release()] == ["yes"]
    assert ledger.open("noise") is None


def test_an_utterance_cannot_be_opened_again_after_its_final() -> None:
    ledger = Ledger()
    settle(opened(ledger, "a"), "one")
    ledger.release()

    assert ledger.open("a") is None
    assert ledger.passed("a")


def test_ranks_put_utterances_in_order_whatever_order_they_are_opened_in() -> None:
    ledger = Ledger()
    for rank, text in ((2, "two"), (1, "one")):
        utterance = ledger.open(str(rank), rank=rank)
        assert utterance is not None
        settle(utterance, text)

    assert [final.text for final in ledger.release()] == ["one", "two"]
    assert ledger.open("0", rank=0) is None


def test_all_before_the_end_of_a_final_is_answered() -> None:
    ledger = Ledger()
    settle(opened(ledger, "a", start=1.0), "one", end=2.5)

    ledger.release()

    assert ledger.answered == 2.5


def test_silence_before_speech_is_answered_but_for_half_a_second() -> None:
    ledger = Ledger()
    opened(ledger, "a", start=60.0)

    ledger.advance()

    assert ledger.answered == 59.5


def test_what_is_answered_never_shrinks() -> None:
    ledger = Ledger()
    opened(ledger, "a", start=60.0)
    ledger.advance()
    opened(ledger, "b", start=3.0)

    ledger.advance()

    assert ledger.answered == 59.5


def test_an_incomplete_final_answers_for_nothing() -> None:
    ledger = Ledger()
    utterance = opened(ledger, "a", start=0.0)
    utterance.text, utterance.end = "half", 4.0

    assert [final.complete for final in ledger.release_all()] == [False]
    assert ledger.answered == 0.0


def test_a_partial_is_told_once_until_it_changes() -> None:
    utterance = opened(Ledger(), "a")
    utterance.text = "good"
    told = [utterance.partial(), utterance.partial()]
    utterance.text = "good morning"
    told.append(utterance.partial())

    assert [partial and partial.text for partial in told] == ["good", None, "good morning"]


def test_a_service_that_opens_utterances_without_end_is_not_remembered_without_end() -> None:
    ledger = Ledger()
    for number in range(1000):
        opened(ledger, str(number))
        ledger.release()

    assert len(ledger) <= 64
