"""Which answer of an omni model belongs to which utterance, and what both say.

A response does not name the utterance that it answers. The caller's own request settles it; else
it is the utterance committed last, unless the service's item says which one it follows.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Answer", "Answers"]


@dataclass(slots=True)
class Answer:
    """What is known of one utterance: the model's answer, and the recognizer's text beside it."""

    item: str
    text: str = ""
    response: str | None = None
    status: str | None = None
    """Of the response, once it is over: `completed`, or why not."""
    asked: bool = False
    passed_over: bool = False
    """A later utterance was answered first: no response will come."""
    aside: str = ""
    aside_done: bool = False
    cut: bool = False
    """Time was up: what there is, is taken."""

    @property
    def answering(self) -> bool:
        """True while the response is being written."""
        return self.response is not None and self.status is None

    @property
    def unanswerable(self) -> bool:
        """True when there is nothing to wait for any more but the text beside it."""
        return self.passed_over or self.status is not None


class Answers:
    """All utterances that are not settled yet, in the order in which they were committed."""

    def __init__(self) -> None:
        self._by_item: dict[str, Answer] = {}
        self._by_response: dict[str, Answer] = {}
        self._seen: set[str] = set()
        self._parents: dict[str, str] = {}

    def of(self, item: str) -> Answer:
        """The one for an utterance, made if need be."""
        return self._by_item.setdefault(item, Answer(item))

    def by(self, response: str | None) -> Answer | None:
        """The one that a response belongs to, while it is still being written."""
        answer = self._by_response.get(response or "")
        return answer if answer is not None and answer.status is None else None

    def answering(self) -> list[Answer]:
        """Those that are being written."""
        return [answer for answer in self._by_item.values() if answer.answering]

    def forget(self, item: str) -> None:
        """The utterance is settled; late events of its response then belong to nothing."""
        answer = self._by_item.pop(item, None)
        if answer is not None and answer.response is not None:
            self._by_response.pop(answer.response, None)
        self._parents = {own: parent for own, parent in self._parents.items() if parent != item}

    def begin(self, response: str, committed: list[str]) -> list[Answer]:
        """A response has begun; `committed` are the utterances it may answer, oldest first.

        Returns those that it passes over.
        """
        if response in self._seen:
            return []
        self._seen.add(response)
        free = [self.of(item) for item in committed if self.of(item).response is None]
        free = [answer for answer in free if not answer.unanswerable]
        asked = [answer for answer in free if answer.asked]
        if not free:
            return []
        chosen = asked[0] if asked else free[-1]
        self._bind(response, chosen)
        before = free[: free.index(chosen)]
        for answer in before:
            answer.passed_over = True
        return before

    def follows(self, own: str | None, item: str | None) -> None:
        """The service's item `own` comes after the utterance `item`."""
        if own and item in self._by_item and own not in self._by_item:
            self._parents[own] = item

    def belongs(self, response: str | None, own: str | None) -> None:
        """The response is written into the service's item `own`."""
        bound, parent = self.by(response), self._parents.get(own or "")
        if response is None or bound is None or parent is None or bound.item == parent:
            return
        bound.response = None
        del self._by_response[response]
        answer = self._by_item.get(parent)
        if answer is not None and answer.response is None:
            answer.passed_over = False
            self._bind(response, answer)

    def _bind(self, response: str, answer: Answer) -> None:
        answer.response = response
        self._by_response[response] = answer
