"""Languages and hotwords as calls of the Fun-ASR family give them.

Page: https://help.aliyun.com/zh/model-studio/improve-asr-accuracy.
"""

from __future__ import annotations

from typing import Any

from tests.emulators.dashscope.fields import choice
from tests.emulators.dashscope.models import Model
from tests.emulators.dashscope.refusals import invalid
from tests.emulators.dashscope.vocabularies import check_instant
from tests.emulators.dashscope.world import Call, World

__all__ = ["check_hints", "favored"]


def check_hints(given: dict[str, Any], model: Model) -> None:
    """Raises a Refusal for `language_hints` that the model does not take."""
    hints = given.get("language_hints")
    if hints is None:
        return
    if not 1 <= len(hints) <= model.most_hints:
        raise invalid(f"language_hints may have up to {model.most_hints} entries: {hints}")
    for hint in hints:
        choice(hint, "language_hints", tuple(sorted(model.languages)))


def favored(world: World, call: Call, model: Model, given: dict[str, Any]) -> list[str]:
    """The terms that a recognition favors: those of a list, and those of the call itself."""
    terms: list[str] = []
    hints = given.get("language_hints", [])
    if model.id.startswith("fun-asr"):
        hints = hints[:1]  # the others are ignored
    if "vocabulary_id" in given:
        terms = world.vocabularies.terms(given["vocabulary_id"], call.caller, model, hints)
    return terms + check_instant(given.get("vocabulary", {}))
