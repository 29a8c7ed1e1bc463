"""The bodies of 1min.ai's answers, and the shapes in which they were met.

Pages: https://docs.1min.ai/docs/api/asset-api and
https://docs.1min.ai/docs/api/ai-for-audio/speech-to-text/qwen3-asr-flash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tests.emulators.bodies import Part
from tests.emulators.decoding import Sound
from tests.emulators.recognizer import Heard

__all__ = [
    "Asset",
    "AssetShape",
    "ResultShape",
    "describe_asset",
    "processing",
    "put_reason",
    "put_text",
]


class AssetShape(StrEnum):
    """Where the answer to an upload names the path."""

    FULL = "full"
    KEY_ONLY = "asset.key alone"
    TOP = "a path at the top"
    WRAPPED = "all of it as JSON in a JSON string"
    NO_PATH = "nowhere"


class ResultShape(StrEnum):
    """Where the answer holds the text; the first is documented, the others were met or feared."""

    LIST = "a list with one string"
    LISTS = "a list with a string for each sentence"
    STRING = "a plain string"
    JSON = "a list with JSON text that holds `text`"
    OBJECT = "an object with `text`"
    OBJECTS = "a list of objects with `transcript`"
    CONTENT = "an object with `content`"
    EMPTY_LIST = "[]"
    EMPTY_STRING = '[""]'
    NULL = "null"
    MISSING = "no resultObject"
    RESPONSE = "[] and the text in responseObject"
    RECORD = "aiRecord.resultObject"
    TOP = "resultObject at the top"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that was uploaded."""

    path: str
    filename: str
    mime_type: str
    size: int
    sha256: str
    sound: Sound | None
    """What its header says; None if it cannot be decoded."""
    part: Part

    @property
    def extension(self) -> str:
        return self.filename.rpartition(".")[2].lower()


def processing(record: dict[str, Any]) -> dict[str, Any]:
    """The same record while it is not done."""
    ai_record = dict(record["aiRecord"])
    ai_record["status"] = "PROCESSING"
    ai_record["aiRecordDetail"] = {**ai_record["aiRecordDetail"], "resultObject": []}
    return {"aiRecord": ai_record}


def put_text(body: dict[str, Any], shape: ResultShape, text: str, heard: Heard) -> None:
    """Put the text of a record where the shape wants it."""
    detail = body["aiRecord"]["aiRecordDetail"]
    simple: dict[ResultShape, Any] = {
        ResultShape.LIST: [text],
        ResultShape.LISTS: [sentence.text for sentence in heard.sentences],
        ResultShape.STRING: text,
        ResultShape.JSON: [json.dumps({"text": text})],
        ResultShape.OBJECT: {"text": text},
        ResultShape.OBJECTS: [{"transcript": text}],
        ResultShape.CONTENT: {"content": text},
        ResultShape.EMPTY_LIST: [],
        ResultShape.EMPTY_STRING: [""],
        ResultShape.NULL: None,
    }
    match shape:
        case ResultShape.RESPONSE:
            detail["responseObject"] = {"text": text}
        case ResultShape.RECORD:
            del detail["resultObject"]
            body["aiRecord"]["resultObject"] = [text]
        case ResultShape.TOP:
            del detail["resultObject"]
            body["resultObject"] = [text]
        case ResultShape.MISSING:
            del detail["resultObject"]
        case _:
            detail["resultObject"] = simple[shape]


def put_reason(body: dict[str, Any], place: str, reason: str) -> None:
    """Put the reason of a failure in its place."""
    record = body["aiRecord"]
    match place:
        case "aiRecordDetail.errorMessage":
            record["aiRecordDetail"]["errorMessage"] = reason
        case "aiRecord.errorMessage":
            record["errorMessage"] = reason
        case "error.message":
            body["error"] = {"message": reason}
        case "error":
            body["error"] = reason
        case "resultObject":
            record["aiRecordDetail"]["resultObject"] = [reason]
        case _:
            raise ValueError(place)


def describe_asset(asset: Asset, team: str, user: str, uuid: str) -> dict[str, Any]:
    """The documented answer to an upload."""
    described = {
        "fieldname": "asset",
        "originalname": asset.filename,
        "encoding": "7bit",
        "mimetype": asset.mime_type,
    }
    stored = {
        "size": asset.size,
        "bucket": "asset.1min.ai",
        "key": asset.path,
        "acl": "private",
        "contentType": "application/octet-stream",
        "contentDisposition": None,
        "contentEncoding": None,
        "storageClass": "STANDARD",
        "serverSideEncryption": None,
        "metadata": {"team-id": team, "user-id": user, **described},
        "location": f"https://asset.1min.ai.s3.us-east-1.amazonaws.com/{asset.path}",
        "etag": f'"{asset.sha256[:32]}"',
    }
    content = {
        "uuid": uuid,
        "path": asset.path,
        "type": asset.extension,
        "name": asset.path.rpartition("/")[2],
        "content": "",
        "status": "ACTIVE",
        "metadata": {"token": 0, "character": 0},
        "createdAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return {"asset": {**described, **stored}, "fileContent": content}
