"""Splits YAML or TOML front matter off a text and reads it as metadata."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from ingestion.corpus.records import MetadataValue

_YAML = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PAIR = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(.*))?")
_CONTINUED = re.compile(r"[ \t]|-[ \t]|#")


def split_front_matter(text: str) -> tuple[dict[str, MetadataValue], str]:
    """`(metadata, rest)`: the front matter's values and the text after it; `({}, text)` if there is none.

    A block between two rules that does not read as key and value pairs is content, not front matter.
    """
    if match := _YAML.match(text):
        values = _read_yaml(match.group(1))
    elif match := _TOML.match(text):
        values = _read_toml(match.group(1))
    else:
        return {}, text
    if values is None:
        return {}, text
    return flatten(values), text[match.end() :]


def flatten(values: Mapping[Any, Any]) -> dict[str, MetadataValue]:
    """The values that metadata can hold; times become ISO 8601 text, nested tables and nulls are left out."""
    metadata: dict[str, MetadataValue] = {}
    for key, value in values.items():
        if isinstance(value, (dt.date, dt.time)):
            metadata[str(key)] = value.isoformat()
        elif isinstance(value, (str, bool, int, float)):
            metadata[str(key)] = value
        elif isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
            metadata[str(key)] = [str(item) for item in value if item is not None]
    return metadata


def _read_yaml(source: str) -> Mapping[Any, Any] | None:
    try:
        values = yaml.safe_load(source)
    except (yaml.YAMLError, ValueError):
        return _read_pairs(source)
    if values is None:
        return {} if not source.strip() else None
    return dict(values) if isinstance(values, dict) else None


def _read_pairs(source: str) -> Mapping[Any, Any] | None:
    """What people write for YAML and YAML does not take, such as `title: Gateway: 502`; None if it is prose."""
    pairs: dict[Any, Any] = {}
    for line in source.splitlines():
        if pair := _PAIR.fullmatch(line.rstrip()):
            if pair.group(2):
                pairs[pair.group(1)] = pair.group(2).strip().strip("\"'")
        elif line.strip() and not _CONTINUED.match(line):
            return None
    return pairs


def _read_toml(source: str) -> Mapping[Any, Any] | None:
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError:
        return None
