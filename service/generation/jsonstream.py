"""Reads one JSON value that arrives in pieces, as models write it. What the value means is left to `structured`.

Character by character, so that no way to cut the text changes what is read. Forgiven: commas and colons too many or too
few, line breaks and unescaped quotes in strings, escapes that JSON does not know, Python's `True`, `False` and `None`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import isfinite
from typing import Any

Container = dict[str, Any] | list[Any]
OnValue = Callable[["JsonPath", Any], None]
"""Called with each value as soon as it is complete, inner ones first; strings, numbers, true and false too."""

_DEEPEST = 16
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_NAMES: dict[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Where a value stands: the keys and list positions to it, outermost first."""

    steps: tuple[str | int, ...]

    @property
    def key(self) -> str:
        """The innermost key around it; empty at the root and in a list without one."""
        return next((step for step in reversed(self.steps) if isinstance(step, str)), "")

    @property
    def listed(self) -> bool:
        """Whether it is an item of a list."""
        return bool(self.steps) and isinstance(self.steps[-1], int)


class _In(Enum):
    NOTHING = auto()
    STRING = auto()
    ESCAPE = auto()
    UNICODE = auto()
    QUOTE = auto()
    """A quotation mark that ends the string, unless what follows says that it belongs to it."""
    SCALAR = auto()


@dataclass(slots=True)
class _Open:
    container: Container
    key: str | None = None
    """Of an object: the key whose value comes next."""


@dataclass(slots=True)
class JsonStream:
    """Feed it the pieces, the first of which begins with the value. `broken`: what came is no JSON from there on."""

    on_value: OnValue
    complete: bool = False
    broken: bool = False
    _open: list[_Open] = field(default_factory=list)
    _where: _In = _In.NOTHING
    _token: str = ""
    _held: str = ""
    """A digit run of an escape, or the white space after a quotation mark."""

    def feed(self, piece: str) -> None:
        """Read on. What stands behind the value is passed over."""
        for character in piece:
            if self.complete or self.broken:
                return
            self._read(character)

    def _read(self, character: str) -> None:
        if self._where is _In.STRING:
            self._in_string(character)
        elif self._where is _In.ESCAPE:
            self._in_escape(character)
        elif self._where is _In.UNICODE:
            self._in_unicode(character)
        elif self._where is _In.QUOTE:
            self._after_quote(character)
        elif self._where is _In.SCALAR:
            self._in_scalar(character)
        else:
            self._between(character)

    def _in_string(self, character: str) -> None:
        if character == "\\":
            self._where = _In.ESCAPE
        elif character == '"':
            self._where, self._held = _In.QUOTE, ""
        else:
            self._token += character

    def _in_escape(self, character: str) -> None:
        self._where = _In.STRING
        if character == "u":
            self._where, self._held = _In.UNICODE, ""
        else:
            self._token += _ESCAPES.get(character, "\\" + character)

    def _in_unicode(self, character: str) -> None:
        if character not in "0123456789abcdefABCDEF":
            self._token += "\\u" + self._held
            self._where = _In.STRING
            self._in_string(character)
            return
        self._held += character
        if len(self._held) == 4:
            self._token += chr(int(self._held, 16))
            self._where = _In.STRING

    def _after_quote(self, character: str) -> None:
        if character.isspace():
            self._held += character
        elif character in ",:]}":
            self._where = _In.NOTHING
            self._string(_whole(self._token))
            self._token = ""
            if not self.broken:
                self._between(character)
        else:
            self._token += '"' + self._held
            self._where = _In.STRING
            self._in_string(character)

    def _in_scalar(self, character: str) -> None:
        if character not in ",:]}[{\"'" and not character.isspace():
            self._token += character
            return
        self._where = _In.NOTHING
        token, self._token = self._token, ""
        try:
            value = _scalar(token)
        except ValueError:
            self.broken = True
            return
        self._value(value)
        if not self.broken:
            self._between(character)

    def _between(self, character: str) -> None:
        if character.isspace() or (character in ",:" and self._open):
            return
        if character == '"':
            self._where = _In.STRING
        elif character in "{[":
            self._open.append(_Open({} if character == "{" else []))
            self.broken = len(self._open) > _DEEPEST
        elif character in "}]":
            self._closed(character)
        else:
            self._where, self._token = _In.SCALAR, character

    def _closed(self, character: str) -> None:
        if not self._open or isinstance(self._open[-1].container, dict) is not (character == "}"):
            self.broken = True
            return
        container = self._open.pop().container
        if self._open:
            self._value(container)
        else:
            self.complete = True
            self.on_value(JsonPath(()), container)

    def _string(self, text: str) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.container, dict) and top.key is None:
            top.key = text
        else:
            self._value(text)

    def _value(self, value: Any) -> None:
        """Put it into the innermost open container."""
        if not self._open or (isinstance(self._open[-1].container, dict) and self._open[-1].key is None):
            self.broken = True
            return
        path = JsonPath(tuple(_step(entry) for entry in self._open))
        top = self._open[-1]
        if isinstance(top.container, dict):
            top.container[top.key or ""] = value
            top.key = None
        else:
            top.container.append(value)
        self.on_value(path, value)


def _step(entry: _Open) -> str | int:
    return (entry.key or "") if isinstance(entry.container, dict) else len(entry.container)


def _whole(text: str) -> str:
    """The text with pairs of escaped surrogates made one character, and lone halves marked as unreadable."""
    paired = _SURROGATES.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _LONE.sub("\ufffd", paired)


def _scalar(token: str) -> float | bool | None:
    """Raises: ValueError: no number, true, false or null."""
    name = token.lower()
    if name in _NAMES:
        return _NAMES[name]
    number = float(token)
    if not isfinite(number):
        raise ValueError(f"{token} is no number of JSON")
    return number
