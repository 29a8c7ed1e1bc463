"""The models behind the non-realtime calls, as the vendor's pages describe them in autumn 2026.

Pages: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference,
https://help.aliyun.com/en/model-studio/fun-asr-recorded-speech-recognition-http-api,
https://www.alibabacloud.com/help/en/model-studio/fun-asr-flash-recorded-speech-recognition-http-api
and https://www.alibabacloud.com/help/en/model-studio/qwen-omni.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["FUN_LANGUAGES", "MODELS", "QWEN_LANGUAGES", "REALTIME", "Kind", "Model"]

MB = 1_048_576
"""The vendor's own: its 10 MB are 10,485,760 bytes."""
GB = 1024 * MB

CN, SG, US = "cn-beijing", "ap-southeast-1", "us-east-1"

QWEN_LANGUAGES = frozenset(
    "zh yue en ja de ko ru fr pt ar it es hi id th tr uk vi cs da fil fi is ms no pl sv".split()
)
FUN_LANGUAGES = frozenset(
    "zh en ja ko vi th id ms tl hi ar fr de es pt ru it nl sv da fi no el pl cs hu ro bg hr sk"
    "".split()
)
MTL_LANGUAGES = frozenset(
    "zh yue en ja ko vi id th ms tl ar hi bg hr cs da nl et fi el hu ga lv lt mt pl pt ro sk sl sv"
    "".split()
)
PARAFORMER_LANGUAGES = frozenset("zh en ja yue ko de fr ru".split())

_BOTH = frozenset("aac amr avi flac flv m4a mkv mp3 mp4 mpeg ogg opus wav webm wma wmv".split())


class Kind(StrEnum):
    """How a model is called."""

    SYNC = "sync"
    """`multimodal-generation` with `content[].audio`, and chat completions."""
    FLASH = "flash"
    """`multimodal-generation` with `content[].input_audio` and `parameters.format`."""
    JOB = "job"
    """A job with `input.file_url`; the result speaks of `audio_info`."""
    JOB_LIST = "job-list"
    """A job with `input.file_urls`; the result speaks of `properties`."""
    OMNI = "omni"
    """Chat completions alone."""


@dataclass(frozen=True, slots=True)
class Model:
    """One id, and what it takes."""

    id: str
    kind: Kind
    regions: frozenset[str]
    languages: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    """Containers; empty for whatever can be decoded."""
    references: frozenset[str] = frozenset({"url", "oss"})
    """How the audio may be given: `url`, `data`, `oss`."""
    most_bytes: int = 2 * GB
    least_seconds: float = 0.0
    most_seconds: float = 12 * 3600.0
    most_hints: int = 0
    """How many `language_hints` it takes."""
    hotwords: int = 0
    """How many words a vocabulary for it may hold."""
    instant: bool = False
    """Takes `parameters.vocabulary`, and weights of 50."""
    paraformer: bool = False
    diarization: bool = False
    stream_only: bool = False
    thinking: str = ""
    """For Omni: `enable_thinking`, `reasoning_effort`, or nothing."""
    search: bool = False
    most_files: int = 1
    tokens_per_second: float = 25.0


_FLASH_QWEN = Model(
    "qwen3-asr-flash",
    Kind.SYNC,
    frozenset({CN, SG, US}),
    QWEN_LANGUAGES,
    _BOTH | {"aiff"},
    frozenset({"url", "data", "oss"}),
    most_bytes=10 * MB,
    least_seconds=1.0,
    most_seconds=300.0,
)
_FILETRANS = Model(
    "qwen3-asr-flash-filetrans",
    Kind.JOB,
    frozenset({CN, SG}),
    QWEN_LANGUAGES,
    _BOTH | {"aiff", "mov"},
)
_FUN = Model(
    "fun-asr",
    Kind.JOB_LIST,
    frozenset({CN, SG}),
    FUN_LANGUAGES,
    _BOTH | {"mov"},
    most_hints=30,
    hotwords=2000,
    diarization=True,
)
_PARAFORMER = replace(
    _FUN,
    id="paraformer-v2",
    regions=frozenset({CN}),
    languages=PARAFORMER_LANGUAGES,
    most_hints=8,
    hotwords=500,
    paraformer=True,
)
_FUN_FLASH = Model(
    "fun-asr-flash-2026-06-15",
    Kind.FLASH,
    frozenset({CN, SG}),
    FUN_LANGUAGES,
    _BOTH | {"mov"},
    frozenset({"url", "data"}),
    most_bytes=10 * MB,
    most_seconds=300.0,
    most_hints=1,
    hotwords=2000,
)
_OMNI = Model(
    "qwen3.5-omni-flash",
    Kind.OMNI,
    frozenset({CN, SG}),
    references=frozenset({"url", "data", "oss"}),
    most_bytes=2 * GB,
    most_seconds=3 * 3600.0,
    stream_only=True,
    search=True,
    most_files=250,
    tokens_per_second=7.0,
)

_ALL = (
    _FLASH_QWEN,
    replace(_FLASH_QWEN, id="qwen3-asr-flash-2025-09-08", regions=frozenset({CN, SG})),
    replace(_FLASH_QWEN, id="qwen3-asr-flash-2026-02-10", regions=frozenset({CN, SG})),
    replace(_FLASH_QWEN, id="qwen3-asr-flash-us", regions=frozenset({US})),
    replace(_FLASH_QWEN, id="qwen3-asr-flash-2025-09-08-us", regions=frozenset({US})),
    _FILETRANS,
    replace(_FILETRANS, id="qwen3-asr-flash-filetrans-2025-11-17"),
    _FUN,
    replace(_FUN, id="fun-asr-2025-11-07", hotwords=500),
    replace(_FUN, id="fun-asr-2025-08-25", hotwords=500, languages=frozenset({"zh", "en"})),
    replace(_FUN, id="fun-asr-mtl", hotwords=500, languages=MTL_LANGUAGES),
    replace(_FUN, id="fun-asr-mtl-2025-08-25", hotwords=500, languages=MTL_LANGUAGES),
    replace(_FUN, id="qwen-audio-3.0-asr-flash-filetrans", most_hints=4, instant=True),
    replace(_FUN, id="qwen-audio-3.1-asr-flash-filetrans", most_hints=4, instant=True),
    _PARAFORMER,
    replace(_PARAFORMER, id="paraformer-8k-v2", most_hints=0),
    replace(_PARAFORMER, id="paraformer-v1", most_hints=0),
    replace(_PARAFORMER, id="paraformer-8k-v1", most_hints=0),
    replace(_PARAFORMER, id="paraformer-mtl-v1", most_hints=0),
    _FUN_FLASH,
    replace(_FUN_FLASH, id="qwen-audio-3.0-asr-flash", most_hints=4, instant=True),
    replace(
        _FUN_FLASH,
        id="qwen-audio-3.1-asr-flash",
        most_bytes=2 * GB,
        most_hints=4,
        instant=True,
        diarization=True,
    ),
    _OMNI,
    replace(_OMNI, id="qwen3.5-omni-plus"),
    replace(
        _OMNI,
        id="qwen3-omni-flash",
        most_bytes=100 * MB,
        most_seconds=1200.0,
        thinking="enable_thinking",
        search=False,
        most_files=1,
        tokens_per_second=12.5,
    ),
    replace(_OMNI, id="qwen3.8-omni-flash", stream_only=False, thinking="reasoning_effort"),
)
MODELS = {model.id: model for model in _ALL}

REALTIME = frozenset(
    {
        "fun-asr-realtime",
        "fun-asr-flash-8k-realtime",
        "gummy-chat-v1",
        "gummy-realtime-v1",
        "paraformer-realtime-v2",
        "paraformer-realtime-8k-v2",
        "qwen-audio-3.0-asr-flash-streaming",
        "qwen-audio-3.1-asr-flash-message",
        "qwen-audio-3.1-asr-flash-streaming",
        "qwen3-asr-flash-realtime",
        "qwen3-asr-flash-realtime-2025-10-27",
        "qwen3-asr-flash-realtime-2026-02-10",
        "qwen3-omni-flash-realtime",
        "qwen3.5-omni-flash-realtime",
        "qwen3.5-omni-plus-realtime",
    }
)
"""Ids that exist, but not on these paths: they are answered with a misleading error."""
