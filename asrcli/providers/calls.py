"""What calls to all services have in common: the file they send, the key they are refused for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from asrcli.errors import AsrError, KeyRefusedError, ModelRefusedError, RightsError
from asrcli.media.audio import AudioFile
from asrcli.providers import catalogue
from asrcli.providers.base import Model
from asrcli.transport.connection import mask_url
from asrcli.transport.http import Answer, FilePart

__all__ = ["MENDED", "SENT_TWICE", "file_part", "host_of", "marked_as", "media_type", "telling_key"]

MENDED = "the answer held characters that no text has: they were replaced"
SENT_TWICE = "sent twice after an unclear failure: it may have been charged twice"
"""The warning of a transcript whose request was resent."""


def media_type(audio: AudioFile) -> str:
    """The type without parameters, which neither forms nor data URIs take everywhere."""
    return audio.mime_type.partition(";")[0].strip()


def file_part(field: str, audio: AudioFile) -> FilePart:
    """The file as part of a form, under a name of our own: no two are alike.

    The user's is nobody's business there, and services make their own names of it.
    """
    name = f"audio-{uuid.uuid4().hex}{audio.suffix}"
    return FilePart(field, name, media_type(audio), audio.path)


def host_of(base_url: str) -> str:
    """The host of a base URL, with its port where it has one."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


@contextmanager
def marked_as(answer: Answer) -> Iterator[None]:
    """Errors that leave the block, while the answer is read, know whether it is the second one."""
    try:
        yield
    except AsrError as error:
        error.possible_duplicate = error.possible_duplicate or answer.possible_duplicate
        raise


@contextmanager
def telling_key(place: str | None, model: Model, base_url: str) -> Iterator[None]:
    """Errors about the key say where it was found, or for which model and host it has no rights.

    Those about a model say where it is not known, and what is like it.
    """
    try:
        yield
    except KeyRefusedError as error:
        if place:
            error.message = f"the key from {place} was refused: {error.message}"
        raise
    except (ModelRefusedError, RightsError) as error:
        error.message = f"{error.message} [{model.id} at {mask_url(base_url)}]"
        # What a service says of its own is worth more.
        if isinstance(error, ModelRefusedError) and error.hint == ModelRefusedError.hint:
            error.hint = _others(model)
        raise


def _others(model: Model) -> str:
    """What can be done about a model that is not there."""
    near = f"Near it are {', '.join(catalogue.nearest(model))}: choose with -m."
    if not model.known or not model.regions:
        return near
    return f"It is offered in {', '.join(model.regions)}: see --region. {near}"
