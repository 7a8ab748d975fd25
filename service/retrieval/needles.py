"""What a query asks for literally: quoted phrases, identifiers and error codes, to be found as they are written."""

from __future__ import annotations

import re

MAX_NEEDLES = 4
_MIN_CHARACTERS = 3
_MAX_CHARACTERS = 100

_QUOTED = re.compile(r'"([^"\n]{3,200})"|“([^”\n]{3,200})”|`([^`\n]{3,200})`')
_TOKEN = re.compile(r"[^\s\"'`“”()\[\]{}<>,;|]+")
_EDGE = ".,:;!?*#=…"
_SHAPES = (
    re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w./:@+-]*\w"),  # GH-5021, 0x80070005, v1.2.3, sha256:ab12, host-07
    re.compile(r"\d+(?:\.\d+){2,}(?:/\d+)?"),  # 10.0.0.1, 4.7.1
    re.compile(r"[^\W_]+(?:_+[^\W_]+)+"),  # http_requests_total, MAX_CONN
    re.compile(r"(?:[A-Z]+[a-z0-9]+){3,}|[a-z]+(?:[A-Z][a-z0-9]+){2,}"),  # NullPointerException, maxPoolSize
    re.compile(r"\w+(?:Exception|Error|Failure|Failed|Killed|Down)"),  # OOMKilled, KubeletDown
    re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){2,}"),  # java.net.ConnectException, spec.template.metadata
    re.compile(r"~?/[\w.-]+(?:/[\w.-]+)+"),  # /etc/nginx/nginx.conf
    re.compile(r"E[A-Z]{4,}|SIG[A-Z]{3,}"),  # ECONNREFUSED, SIGKILL
)
_ORDINARY = re.compile(
    r"\d+(?:st|nd|rd|th|s|x|k|m|h|d|ms|min|mb|gb|tb|kb|am|pm|%)?|[a-z]+s?/[a-z]+s?|https?://.*|error|failure", re.I
)
_NUMBERED = re.compile(
    r"\b(?:error|code|status|errno|exit|event|ora|http|sqlstate)(?:\s+code)?[\s:=#]+(\d{3,})\b", re.I
)


def find_needles(text: str, *, limit: int = MAX_NEEDLES) -> tuple[str, ...]:
    """Up to `limit` distinct literal strings of a query, quoted ones first, in the order of the text."""
    quoted = [next(filter(None, match.groups())).strip() for match in _QUOTED.finditer(text)]
    rest = _QUOTED.sub(" ", text)
    found = [*quoted, *find_identifiers(rest)]
    distinct = {needle.casefold(): needle for needle in reversed(found) if len(needle) >= _MIN_CHARACTERS}
    return tuple(reversed(distinct.values()))[:limit]


def find_identifiers(text: str) -> list[str]:
    """Tokens that have the shape of an identifier, a path, a version or an error code, in the order of the text."""
    tokens = (token.strip(_EDGE).removesuffix("'s") for token in _TOKEN.findall(text))
    found = [token for token in tokens if is_identifier(token)]
    return found + _NUMBERED.findall(text)


def is_identifier(token: str) -> bool:
    """Whether a token is one that people search for literally."""
    if not _MIN_CHARACTERS <= len(token) <= _MAX_CHARACTERS or _ORDINARY.fullmatch(token):
        return False
    return any(shape.fullmatch(token) for shape in _SHAPES)


def stands_alone(needle: str, text: str) -> bool:
    """Whether `text` holds the needle as a whole word, not inside a longer one; ignores case."""
    return re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text, re.IGNORECASE) is not None
