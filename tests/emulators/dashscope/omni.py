"""What a Qwen-Omni model says when it is asked for a transcript: it is a talker by nature.

Page: https://www.alibabacloud.com/help/en/model-studio/qwen-omni.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.emulators.dashscope.text import pieces

__all__ = ["CLEAN", "CUT", "LOOP", "PREAMBLE", "REFUSAL", "THINKING", "OmniScript"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OmniScript:
    """One answer, made of what is heard."""

    text: str | None = None
    """In place of what is heard."""
    before: str = ""
    after: str = ""
    reasoning: str = ""
    """Also of models that do not think unless they are asked to."""
    kept: float = 1.0
    """How much of the words is said, from the start."""
    looped: int = 0
    """So many times the last four words are said again."""
    finish_reason: str = "stop"

    def said(self, heard: str) -> str:
        words = pieces(self.text if self.text is not None else heard)
        words = words[: round(len(words) * self.kept)]
        words += words[-4:] * self.looped
        return f"{self.before}{''.join(words)}{self.after}"


CLEAN = OmniScript()
PREAMBLE = OmniScript(before='Sure! Here is the transcript of the audio:\n\n"', after='"')
REFUSAL = OmniScript(text="I'm sorry, but I can't listen to audio. Could you type it out instead?")
LOOP = OmniScript(looped=60, finish_reason="length")
CUT = OmniScript(kept=0.5, finish_reason="length")
THINKING = OmniScript(reasoning="The user wants the words as they were spoken. I hear English.")
