"""Foreign text made harmless: one function for each place that it can end up in.

Foreign is whatever a service, a file name or a tag says. A terminal obeys control characters, a
subtitle parser obeys `-->`, a reader of TSV obeys tabs; what they would obey is shown, folded or
escaped here, and nowhere else.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = [
    "for_json",
    "for_srt",
    "for_terminal",
    "for_text",
    "for_tsv",
    "for_vtt",
    "is_unicode",
    "one_line",
]

# Marks that turn the direction of writing, end a line by stealth, or show nothing at all.
_UNSEEN = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
_SURROGATES = "\ud800-\udfff"
_NOT_IN_LINES = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_UNSEEN}{_SURROGATES}]")
_NOT_IN_A_LINE = re.compile(f"[\x00-\x1f\x7f-\x9f{_UNSEEN}{_SURROGATES}]")
_ESCAPED_IN_JSON = re.compile(f"[\x7f-\x9f{_UNSEEN}{_SURROGATES}]")

_LINE_BREAK = re.compile("\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_DROPPED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")
_BLANKS = re.compile(r"\s{2,}|[^\S ]")
_SURROGATE = re.compile(f"[{_SURROGATES}]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""For the screen: every control, direction mark and lone surrogate becomes a visible escape.

    ESC is shown as `\x1b`, a right-to-left override as `\u202e`, a byte of a file name that is
    no UTF-8 as that byte. Newline and tab are shown as `\n` and `\t`, since what is shown is
    one line; with `lines` both stay as they are (a CR never does).
    """
    return (_NOT_IN_LINES if lines else _NOT_IN_A_LINE).sub(_shown, text)


def for_text(text: str, *, lines: bool = False) -> str:
    """For files and pipes: the text, less what has no place in one.

    C0 and C1 controls, DEL and byte order marks are dropped; lone surrogates become U+FFFD. All
    kinds of line breaks and runs of blanks fold to one space, since one line is promised; with
    `lines` breaks become newlines, and tabs and blanks stay. Direction marks stay: they are text.
    """
    if not text.isprintable():  # it rarely is not, and then the rest is slow
        text = _LINE_BREAK.sub("\n", text)
        text = _SURROGATE.sub("\ufffd", _DROPPED.sub("", text))
    return text if lines else one_line(text)


def for_srt(text: str) -> str:
    """For the text of an SRT cue: no line that is blank, and none that looks like cue times."""
    return _fold_blank_lines(text).replace("-->", "-- >")


def for_vtt(text: str) -> str:
    """For the text of a WebVTT cue: `&`, `<` and `>` escaped, no blank line.

    Without a blank line nothing in a cue can start a block, so a line `NOTE`, `STYLE` or `WEBVTT`
    is text; `-->` cannot be, as its `>` is escaped (https://www.w3.org/TR/webvtt1/#cue-text).
    """
    text = _fold_blank_lines(text).replace("&", "&amp;")
    return text.replace("<", "&lt;").replace(">", "&gt;")


def for_tsv(text: str) -> str:
    """For one cell of TSV: tabs and line breaks, U+2028 and U+2029 too, fold to one space."""
    return for_text(text)


def for_json(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON that every parser and every terminal takes, in one line unless indented.

    NaN and infinities become null. What `for_terminal` would show as an escape is one already, so
    lone surrogates (bytes of file names that are no UTF-8) and U+2028 come back as they were.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _ESCAPED_IN_JSON.sub(_as_json_escape, text)


def is_unicode(text: str) -> bool:
    """False if there are lone surrogates in it, which no encoding can hold."""
    return text.isascii() or _SURROGATE.search(text) is None


def one_line(text: str) -> str:
    """The text with every run of blanks and line breaks folded to one space."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    # `" ".join(text.split())`, without a list of all words: a text may have 20 MB.
    return _BLANKS.sub(" ", text).strip()


def _fold_blank_lines(text: str) -> str:
    lines = (one_line(line) for line in for_text(text, lines=True).split("\n"))
    return "\n".join(filter(None, lines))


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that it could not decode
        code -= 0xDC00
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return _NAMED.get(character, short)


def _as_json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
