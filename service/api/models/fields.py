"""Field types and base classes that requests and responses share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ingestion.corpus.records import MetadataValue
from ingestion.corpus.scope import PUBLIC_READER
from service.quality.windows import WINDOW_FORM, WINDOW_PATTERN

MAX_COLLECTIONS = 100
MAX_LABELS = 100
MAX_METADATA = 100

WindowText = Annotated[str, Field(pattern=WINDOW_PATTERN, description=f"the last {WINDOW_FORM}")]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Request(BaseModel):
    """What a client sends. An unknown field is an error, not a hope."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(BaseModel):
    """What a client gets. New fields may come; a client ignores those that it does not know."""

    model_config = ConfigDict(frozen=True)


def text_of(max_bytes: int) -> Callable[[str], str]:
    """A validator: not blank, and at most so many bytes of UTF-8."""

    def check(text: str) -> str:
        if not text.strip():
            raise PydanticCustomError("blank", "must not be empty")
        if len(text.encode()) > max_bytes:
            raise PydanticCustomError("too_long", "must be at most {limit} bytes of UTF-8", {"limit": max_bytes})
        return text

    return check


def _name(text: str) -> str:
    if _CONTROL.search(text) or not text.strip():
        raise PydanticCustomError("name", "must not be blank or hold control characters")
    return text


def _label(text: str) -> str:
    if text == PUBLIC_READER:
        raise PydanticCustomError("label", "{star} is not a label", {"star": PUBLIC_READER})
    return _name(text)


def _metadata_value(value: Any) -> MetadataValue:
    if isinstance(value, list) and len(value) <= MAX_METADATA and all(isinstance(entry, str) for entry in value):
        return [storable(entry) for entry in value]
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise PydanticCustomError(
        "metadata_value", "must be a string, a number, a boolean or a list of at most 100 strings"
    )


def storable(text: str) -> str:
    """The text, if a database can keep it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("string_unicode", "the text holds a lone surrogate") from error
    if "\0" in text:
        raise PydanticCustomError("string_nul", "the text holds a NUL character")
    return text


DocumentIdText = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_name)]
CollectionName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_name)]
Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_label)]
ShortText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_name)]
Collections = Annotated[
    tuple[CollectionName, ...],
    Field(max_length=MAX_COLLECTIONS, description="look in these collections only; in all if none is named"),
]
Labels = Annotated[tuple[Label, ...], Field(max_length=MAX_LABELS, description="groups that may read it; all if none")]
_MetadataKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_name)]
_MetadataValue = Annotated[
    MetadataValue,
    PlainValidator(_metadata_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "number"},
                {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}, "maxItems": MAX_METADATA},
            ]
        }
    ),
]
MetadataMap = Annotated[
    dict[_MetadataKey, _MetadataValue],
    Field(max_length=MAX_METADATA, description="facts to filter by, as `metadata.<key>`"),
]
Cursor = Annotated[str, Field(max_length=1000, description="`next_cursor` of the page before")]
