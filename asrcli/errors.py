"""Every error that asrcli raises on purpose: one tree, with data, a remedy and an exit status.

The command line ends an `AsrError` with one line, `str(error)`, and a second one if there is a
`hint`. Anything else that escapes is a bug of ours and exits with 1.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

__all__ = [
    "ArrearsError",
    "AsrError",
    "ConfigurationError",
    "CredentialsError",
    "EmptyFileError",
    "FeatureError",
    "FileTooLargeError",
    "FileTooLongError",
    "FileUnreadableError",
    "InputError",
    "InputRefusedError",
    "KeyMissingError",
    "KeyRefusedError",
    "LanguageError",
    "LockedError",
    "MicrophoneError",
    "MissingHelperError",
    "ModelRefusedError",
    "NetworkError",
    "NoAudioTrackError",
    "NotAudioError",
    "OutputError",
    "OutputExistsError",
    "QuotaError",
    "RateLimitedError",
    "RedirectError",
    "RefusedError",
    "RemoteError",
    "Retry",
    "RightsError",
    "ServiceError",
    "StoppedBySignal",
    "TLSError",
    "TimeLimitError",
    "UnexpectedAnswerError",
    "UnknownCodecError",
    "UnknownModelError",
    "UnsupportedFormatError",
    "UsageError",
]


class Retry(Enum):
    """What trying the same call again may do."""

    NEVER = "never"
    """It fails again, or costs again."""
    TRANSIENT = "transient"
    """Nothing was done on the other side: try again after a pause."""
    THROTTLED = "throttled"
    """Too much at once: all callers of the service slow down, then try again."""
    AMBIGUOUS = "ambiguous"
    """It may have been done and billed: one resend at most, and it is marked."""


class AsrError(Exception):
    """The root. `args` carry the data; `__str__` makes the sentence."""

    exit_status: ClassVar[int] = 1
    stops_run: ClassVar[bool] = False
    """True when no other input of the same run could fare better."""
    hint: str | None = None
    """What the user can do about it, as one sentence."""

    code: str | None = None
    """The service's own word for it."""
    http_status: int | None = None
    request_id: str | None = None
    retry: Retry = Retry.NEVER
    retry_after: float | None = None
    """Seconds the service asked us to wait."""
    possible_duplicate: bool = False
    """True when the service may have done (and billed) the work more than once."""

    @property
    def retryable(self) -> bool:
        """True when the same command may succeed later without any change."""
        return self.retry is not Retry.NEVER


class _SentenceError(AsrError):
    """An error whose data is its sentence, and possibly a hint of its own."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


# --- 2: what was asked for -------------------------------------------------------------------


class UsageError(_SentenceError):
    """The command line asks for something that cannot be."""

    exit_status = 2


class ConfigurationError(UsageError):
    """A variable, a file or a flag holds something unusable."""


class UnknownModelError(UsageError):
    """No such model, and no family that it could belong to."""

    def __init__(self, model: str, nearest: list[str], *, provider: str | None = None) -> None:
        where = f" at {provider}" if provider else ""
        super().__init__(f"there is no model {model!r}{where}")
        self.model = model
        self.nearest = nearest
        names = ", ".join(nearest)
        self.hint = (
            f"Did you mean {names}?" if nearest else "See `asrcli models` for what there is."
        )


class LanguageError(UsageError):
    """The model does not know the language."""

    def __init__(self, language: str, model: str, nearest: list[str], *, others: str = "") -> None:
        super().__init__(f"{model} does not know the language {language!r}")
        self.language = language
        self.model = model
        self.nearest = nearest
        if nearest:
            self.hint = f"Did you mean {', '.join(nearest)}?"
        elif others:
            self.hint = others
        else:
            self.hint = f"See `asrcli models {model}` for its languages."


class FeatureError(UsageError):
    """The model lacks what was asked of it."""

    def __init__(self, feature: str, model: str, instead: list[str]) -> None:
        super().__init__(f"{model} cannot do {feature}")
        self.feature = feature
        self.model = model
        self.instead = instead
        self.hint = f"{', '.join(instead)} can: choose it with -m." if instead else None


class InputError(_SentenceError):
    """An input that cannot be used."""

    exit_status = 7


# --- 4, 5, 6, 9: what a service or the way to it answered -------------------------------------


class RemoteError(AsrError):
    """A service was asked and said no; `service` is the provider's name."""

    exit_status = 9

    def __init__(
        self,
        service: str,
        message: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        retry: Retry | None = None,
        retry_after: float | None = None,
    ) -> None:
        Exception.__init__(self, service, message)  # past the sentence of an input error
        self.service = service
        self.message = message
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after = retry_after
        if hint is not None:
            self.hint = hint
        if retry is not None:
            self.retry = retry

    def __str__(self) -> str:
        said = self.code if self.code and self.code not in self.message else None
        status = f"HTTP {self.http_status}" if self.http_status else None
        request = f"request {self.request_id}" if self.request_id else None
        marks = ", ".join(mark for mark in (said, status, request) if mark)
        return f"{self.service}: {self.message}" + (f" ({marks})" if marks else "")


class CredentialsError(AsrError):
    """No key, or one that does not open this door."""

    exit_status = 4
    stops_run = True


class KeyMissingError(CredentialsError):
    """No key is configured for what was asked; `places` are where one was looked for."""

    def __init__(self, need: str, places: list[str], *, hint: str | None = None) -> None:
        super().__init__(need, places)
        self.need = need
        self.places = places
        self.hint = hint or f"Looked in {', '.join(places)}; none of them holds a key."

    def __str__(self) -> str:
        return f"no key for {self.need}"


class KeyRefusedError(RemoteError, CredentialsError):
    """The service does not accept the key."""

    exit_status = 4
    stops_run = True


class RightsError(RemoteError, CredentialsError):
    """The key is known but may not use this model, region or workspace."""

    exit_status = 4
    stops_run = True


class QuotaError(RemoteError):
    """The account has nothing left to spend, or spends too fast."""

    exit_status = 5
    stops_run = True


class ArrearsError(QuotaError):
    """Unpaid, used up or not purchased: no retry helps."""

    hint = "Check the balance and the plan in the service's console."


class RateLimitedError(QuotaError):
    """Too many requests."""

    retry = Retry.THROTTLED
    hint = "Send fewer at once: -j, or --rpm with what the service allows."


class NetworkError(RemoteError):
    """The service was not reached, or the connection was not kept."""

    exit_status = 6
    retry = Retry.TRANSIENT


class TLSError(NetworkError):
    """The other side's certificate or protocol was refused by us."""

    retry = Retry.NEVER


class ServiceError(RemoteError):
    """The service failed."""


class RefusedError(ServiceError):
    """The service understood and declined: content, parameters, the file itself."""


class InputRefusedError(RemoteError, InputError):
    """The service does not take this recording: its size, its length or its format."""

    exit_status = 7


class ModelRefusedError(RemoteError, UsageError):
    """The service does not know the model, or not in this place."""

    exit_status = 2
    hint = "See `asrcli models` for what there is."


class UnexpectedAnswerError(ServiceError):
    """An answer that is not what the service documents."""


class RedirectError(ServiceError):
    """A call that carries a key was sent elsewhere, and was not followed."""


# --- 7: inputs --------------------------------------------------------------------------------


class FileUnreadableError(InputError):
    """It is not there, or may not be read."""


class EmptyFileError(InputError):
    """There is nothing in it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is empty")
        self.name = name


class NotAudioError(InputError):
    """The content is no audio or video that we know, whatever its name says."""


class UnknownCodecError(NotAudioError):
    """A track that our libraries have no decoder for; another program may have one."""


class NoAudioTrackError(InputError):
    """A media file in which nothing can be heard."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name} has no audio track" + (f": {detail}" if detail else ""))
        self.name = name


class UnsupportedFormatError(InputError):
    """The model does not take the format, and it could not be converted."""


class FileTooLargeError(InputError):
    """The file is larger than the chosen model takes."""

    hint = "Choose a model with a higher limit (`asrcli models`), or cut the recording."

    def __init__(self, name: str, size: int, limit: int, *, what: str = "bytes") -> None:
        super().__init__(f"{name} has {size:,} {what}; the limit is {limit:,}")
        self.name = name
        self.size = size
        self.limit = limit


class FileTooLongError(InputError):
    """The recording is longer than the chosen model takes."""

    hint = "Choose a model for longer recordings (`asrcli models`), or cut it."

    def __init__(self, name: str, duration: float, limit: float, *, model: str) -> None:
        super().__init__(f"{name} lasts {duration:,.1f} s; the limit of {model} is {limit:,.0f} s")
        self.name = name
        self.duration = duration
        self.limit = limit
        self.model = model


# --- 8: outputs -------------------------------------------------------------------------------


class OutputError(_SentenceError):
    """The result cannot be written."""

    exit_status = 8
    stops_run = True


class OutputExistsError(OutputError):
    """A file stands where the result would go."""

    hint = "--overwrite replaces it."

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists")
        self.path = path


# --- 10, 11, 12, 13 and signals -----------------------------------------------------------------


class TimeLimitError(RemoteError):
    """A time limit of ours was reached before the service was done."""

    exit_status = 10


class MicrophoneError(_SentenceError):
    """No microphone, or one that is busy, may not be used, or went away."""

    exit_status = 12


class LockedError(_SentenceError):
    """Another run is at work on the same file."""

    exit_status = 11
    hint = "Wait for it to end, or write elsewhere."


class MissingHelperError(_SentenceError):
    """A program or an optional package is not installed; the hint says how to get it."""

    exit_status = 13


class StoppedBySignal(BaseException):
    """A signal asked us to stop; `exit_status` is 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.exit_status = 128 + number
