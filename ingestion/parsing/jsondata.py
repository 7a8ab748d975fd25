"""JSON and JSON Lines: every value with the path that leads to it, one record a block."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ingestion.corpus.records import ElementKind
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.building import Block, Parsed, assemble, clean

_TITLES = ("title", "name", "subject")


def parse_json(source: str) -> Parsed:
    """The values of one JSON document. Items of a list, and members of an object, are blocks of their own."""
    try:
        value = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise DocumentRejected(
            RejectionCode.CORRUPT, f"The file is not valid JSON: {error}. Mend it there and upload it again."
        ) from error
    text, elements = assemble(_blocks(value))
    return Parsed(text, elements, _title(value))


def parse_json_lines(source: str) -> Parsed:
    """One record a line."""
    records: list[object] = []
    for number, line in enumerate(source.split("\n"), start=1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DocumentRejected(
                    RejectionCode.CORRUPT, f"Line {number} is not valid JSON: {error}. Mend it and upload it again."
                ) from error
    text, elements = assemble(_blocks(records))
    return Parsed(text, elements)


def _title(value: object) -> str | None:
    if isinstance(value, dict):
        for key in _TITLES:
            if isinstance(value.get(key), str) and value[key].strip():
                return str(value[key]).strip()
    return None


def _blocks(value: object) -> Iterator[Block]:
    if isinstance(value, list):
        for item in value:
            yield Block(ElementKind.PARAGRAPH, clean("\n".join(_lines("", item))))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield Block(ElementKind.PARAGRAPH, clean("\n".join(_lines(str(key), item))), tight=_is_scalar(item))
    else:
        yield Block(ElementKind.PARAGRAPH, clean("\n".join(_lines("", value))))


def _lines(path: str, value: object) -> Iterator[str]:
    """`path: value` for every value that is not null."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list) and all(_is_scalar(item) for item in value):
        yield from _line(path, ", ".join(_scalar(item) for item in value))
    elif isinstance(value, list):
        for index, item in enumerate(value, start=1):
            yield from _lines(f"{path}[{index}]", item)
    elif value is not None:
        yield from _line(path, _scalar(value))


def _line(path: str, text: str) -> Iterator[str]:
    if text.strip():
        yield f"{path}: {text}" if path else text


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (dict, list))


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
