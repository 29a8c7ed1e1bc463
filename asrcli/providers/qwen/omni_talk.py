"""What an Omni model says besides the transcript: found, told, and taken off only when it is sure.

A model that talks may announce a transcript, quote it, decline, describe silence, or run in
circles. People say such things too. So nothing that could have been spoken is removed for its words
alone: it takes a form that speech does not have (a line of its own, a colon, quotation marks, an
impossible length), and every removal is quoted in a warning. What is doubtful stays, with a
warning. Pure functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from asrcli.protocol.realtime_omni import EMOTIONS
from asrcli.providers.qwen.omni_phrases import Phrase, holds, is_phrase, starts_with
from asrcli.providers.qwen.repetition import find_loop

__all__ = ["Heard", "hear", "without_emotion"]

_MOST_TALK = 400
"""Characters: what declines or describes silence is short."""
_MOST_QUOTED = 120
_QUOTES = (
    ('"', '"'),
    ("“", "”"),
    ("„", "“"),
    ("„", "”"),
    ("«", "»"),
    ("»", "«"),
    ("「", "」"),
    ("『", "』"),
)
_THOUGHTS = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_FENCE = re.compile(r"```[a-z]*\n(.*?)\n?```", re.DOTALL)
_BRACKETED = re.compile(r"[\[(（【<*♪]+\s*([^\[\]()（）【】<>*♪]{0,60}?)\s*[\])）】>*♪]+[.。]?")
_EMOTION = re.compile(
    rf"(?:^|\s)\W{{0,3}}emotion\W{{0,3}}[:：]\W{{0,3}}({'|'.join(EMOTIONS)})\W*\Z", re.IGNORECASE
)
_EMOTION_LINE = re.compile(
    r"(?:^|\n)[ \t*_`\-]*(?:emotion|émotion|emoción|emoção|stimmung|情绪|情感|感情|감정|эмоция)"
    r"[ \t*_`]*[:：][ \t*_`]*([^\n:：]{1,30})\s*\Z",
    re.IGNORECASE,
)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WIDE_A_SECOND, _NARROW_A_SECOND = 12.0, 32.0
"""Characters a second that nobody exceeds; fast speakers reach about two thirds of them."""


@dataclass(slots=True)
class Heard:
    """What is left when everything is gone that surely is no speech."""

    text: str
    emotion: str | None = None
    refusal: str = ""
    """What the model said instead of a transcript; `text` is empty then."""
    warnings: list[str] = field(default_factory=list)


def hear(text: str, *, emotion: bool, duration: float | None, cut: bool) -> Heard:
    """Read what a model wrote for a recording of `duration` seconds.

    `emotion`: it was asked for a last line with the emotion. `cut`: it wrote as long as it may.
    """
    heard = Heard(text.strip())
    _take_thoughts(heard)
    if emotion:
        _take_emotion(heard)
    announced = _take_announcement(heard)
    _take_frame(heard, announced=announced)
    _take_silence(heard)
    too_much = _takes_longer(heard.text, duration)
    _check_refusal(heard, too_much=too_much)
    looped = _take_loop(heard, surely=cut or too_much)
    if not looped and heard.text and _takes_longer(heard.text, duration):
        told = f"the text is longer than what can be said in {duration:.1f} s"
        heard.warnings.append(f"{told}: the model may have added to it")
    return heard


def without_emotion(text: str) -> str:
    """A text that is still growing, without the line of the emotion or the start of one."""
    before, mark, last = text.rpartition("\n")
    line = last.strip(" \t*_`").lower()
    grows = bool(line) and ("emotion:".startswith(line) or line.startswith("emotion:"))
    return before if mark and grows else text


# --- around the text --------------------------------------------------------------------------


def _take_thoughts(heard: Heard) -> None:
    if match := _THOUGHTS.match(heard.text):
        heard.text = heard.text[match.end() :].strip()


def _take_emotion(heard: Heard) -> None:
    if match := _EMOTION.search(heard.text):
        heard.emotion = match[1].lower()
    elif match := _EMOTION_LINE.search(heard.text):
        told = _quoted(match[1])
        heard.warnings.append(f"the model named an emotion that it was not offered: {told}")
    else:
        if heard.text:
            heard.warnings.append("the model named no emotion")
        return
    heard.text = heard.text[: match.start()].strip()


def _take_announcement(heard: Heard) -> bool:
    """Take off an announcement that stands alone; True if there was one."""
    line, _, rest = (part.strip() for part in heard.text.partition("\n"))
    if rest and _announces(line):
        _told(heard, "announced the text", line)
        heard.text = rest
        _take_closing(heard)
        return True
    head, _, rest = _split_at_colon(heard.text)
    if not rest or not _announces(head):
        return False
    if _unquoted(rest) is not None:
        _told(heard, "announced the text", head)
        heard.text = rest
        return True
    doubt = f"the text begins as if the model announced it ({_quoted(head)})"
    heard.warnings.append(f"{doubt}; it was left there, since somebody may have said it")
    return False


def _announces(line: str) -> bool:
    bare = line.strip(" *_#`") if len(line) < _MOST_TALK else ""
    return bare.endswith((":", "：")) and is_phrase(bare, Phrase.ANNOUNCEMENT, Phrase.LABEL)


def _split_at_colon(text: str) -> tuple[str, str, str]:
    match = re.search(r"[:：]\**\s*", text[:200])
    if match is None:
        return text, "", ""
    return text[: match.end()].strip(), ":", text[match.end() :].strip()


def _take_closing(heard: Heard) -> None:
    """Take off an offer of more help, below an announced text."""
    before, mark, last = heard.text.rpartition("\n\n")
    if mark and len(last) < _MOST_TALK and starts_with(last.strip(), Phrase.CLOSING):
        _told(heard, "added", last)
        heard.text = before.strip()


def _take_frame(heard: Heard, *, announced: bool) -> None:
    """Take off a fence, or quotation marks around the whole: nobody speaks them."""
    if (match := _FENCE.fullmatch(heard.text)) and "```" not in match[1]:
        heard.text = match[1].strip()
        announced = True
    inner = _unquoted(heard.text)
    if inner is not None:
        heard.text = inner
        if not announced:
            heard.warnings.append("the model put the text in quotation marks: they were taken off")


def _unquoted(text: str) -> str | None:
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        framed = len(text) > 2 and text.startswith(opening) and text.endswith(closing)
        if framed and opening not in inner and closing not in inner:
            return inner.strip()
    return None


# --- in place of it ---------------------------------------------------------------------------


def _take_silence(heard: Heard) -> None:
    """Empty a text that only describes what there is in place of speech."""
    if len(heard.text) > _MOST_TALK:
        return
    names = [match[1] for match in _BRACKETED.finditer(heard.text)]
    only_sounds = bool(names) and not _BRACKETED.sub("", heard.text).strip()
    if only_sounds and all(not name or is_phrase(name.strip(" ."), Phrase.SOUND) for name in names):
        _told(heard, "described sounds", heard.text)
    elif is_phrase(heard.text, Phrase.SILENCE):
        _told(heard, "found no speech and said so", heard.text)
    else:
        return
    heard.text = ""


def _check_refusal(heard: Heard, *, too_much: bool) -> None:
    text = heard.text
    if not text or len(text) > _MOST_TALK:
        return
    declines = holds(text, Phrase.DECLINES)
    doubtful = starts_with(text, Phrase.DOUBTFUL)
    if declines or (doubtful and too_much):
        heard.refusal, heard.text, heard.emotion = _line(text), "", None
    elif doubtful:
        heard.warnings.append(
            "the text reads as if the model had declined; it was left there, since somebody may"
            " have said it"
        )


def _take_loop(heard: Heard, *, surely: bool) -> bool:
    """Cut off an endless repetition; one that could have been spoken or sung stays."""
    loop = find_loop(heard.text)
    if loop is None:
        return False
    told = f"{loop.count} times ({_quoted(loop.unit)})"
    if surely:
        heard.text = heard.text[: loop.end].strip()
        heard.warnings.append(
            f"the model repeated itself {told} at the end: the repetition was cut off, and what"
            " was said after that is missing"
        )
    else:
        heard.warnings.append(f"the text repeats itself {told} at the end: the model may be wrong")
    return surely


def _takes_longer(text: str, duration: float | None) -> bool:
    """True for more than can be said in so many seconds."""
    if duration is None:
        return False
    wide = len(_WIDE.findall(text))
    narrow = sum(character.isalnum() for character in text) - wide
    return wide / _WIDE_A_SECOND + narrow / _NARROW_A_SECOND > duration + 1


# --- words for warnings -----------------------------------------------------------------------


def _told(heard: Heard, what: str, words: str) -> None:
    heard.warnings.append(f"the model {what}: {_quoted(words)} was taken off")


def _quoted(words: str) -> str:
    return f"“{_line(words, _MOST_QUOTED)}”"


def _line(words: str, most: int = _MOST_TALK) -> str:
    line = " ".join(words.split())
    return line if len(line) <= most else line[:most] + "…"
