"""What may be kept of the words that people wrote: them without secrets, whether they are equal, or nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from service.settings import Content, LedgerSettings


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is masked. Looked for only in texts that hold one of the `hints`, lower-case: most texts hold none.

    No expression begins in the middle of what it may run over, nor runs over the same text in two ways, so that the
    time grows with the length of the text and no faster.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    masked: str | Callable[[re.Match[str]], str]


# Not a secret but where one goes: `$TOKEN`, `${TOKEN}`, `<token>`, `{{ token }}`, `%TOKEN%`, `***`, `[key]`.
_NO_PLACE = r"(?![$<{%*\[])"
# Letters beside digits or signs, six at least: what is no word and no number.
_MIXED = r"(?=[^\s\"',;&]{6})(?=[^\s\"',;&]{0,200}[A-Za-z])(?=[^\s\"',;&]{0,200}[0-9!@#^*+=?~])"
_NAMED = r"(?:pass(?:word|wd|phrase)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|token|(?:api|access|private)[_-]?key)"
_VALUE = r"(?:\"[^\"\n]{1,500}\"|'[^'\n]{1,500}'|[^\s\"',;&]+)"
_REMOTE = re.compile(r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)\b[^\n]*\Z")
_LINE_CHARS = 200


def _email(found: re.Match[str]) -> str:
    """`ssh`, `git` and the like write user and host in the same way, and a command must stay what it is."""
    text, start = found.string, found.start()
    before = text[max(0, start - _LINE_CHARS) : start]
    path = re.match(r":[^\s]", text[found.end() : found.end() + 2])
    if path or before.endswith("/") or found[1] in ("root", "git") or _REMOTE.search(before):
        return found[0]
    return "[e-mail]"


_RULES = (
    _Rule(
        ("private key-----",),
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----))*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
        ),
        "[private key]",
    ),
    _Rule(
        ("://",),
        re.compile(rf"(?<=://)([^\s:/@\"']{{0,64}}:){_NO_PLACE}[^\s@/\"']{{1,256}}@"),
        r"\1[secret]@",
    ),
    _Rule(
        ("authorization", "bearer "),
        re.compile(
            r"(?i)\b(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|token|digest|apikey)\s{1,3})?+"
            rf"|bearer\s{{1,3}}{_MIXED}){_NO_PLACE}[^\s\"',;]+"
        ),
        r"\1[secret]",
    ),
    _Rule(
        ("sk-", "k_live_", "k_test_", "akia", "asia", "gh", "xox", "glpat", "pl_", "aiza", "hf_", "npm_", "sg.", "eyj"),
        re.compile(
            r"(?<![\w-])(?:sk-(?=[\w-]{0,200}\d)[\w-]{16,}|[sr]k_(?:live|test)_\w{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)"
            r"|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abeoprs]-[\w-]{10,}|glpat-[\w-]{16,}|pl_[0-9a-f]{12}_[\w-]{20,}"
            r"|AIza[\w-]{30,}|hf_\w{20,}|npm_\w{30,}|SG\.[\w-]{16,64}\.[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
        ),
        "[secret]",
    ),
    _Rule(
        ("pass", "pwd", "secret", "token", "key"),
        # After `=` it is a value; after a colon it may be prose, and after an option the name of something.
        re.compile(
            rf"(?i)({_NAMED}[\"']?\s{{0,3}}=\s{{0,3}}|{_NAMED}[\"']?\s{{0,3}}:\s{{0,3}}(?=[\"']|{_MIXED})"
            rf"|--(?:[\w]+-){{0,4}}{_NAMED}\s{{1,3}}{_MIXED})(?![\"']?[$<{{%*\[=]){_VALUE}"
        ),
        r"\1[secret]",
    ),
    _Rule(("@",), re.compile(r"([\w.+-]{1,64})@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w-])"), _email),
)


def masked(text: str) -> str:
    """The text without secrets and e-mail addresses: keys and tokens of usual forms, passwords that are named as such,
    credentials in addresses and headers, private keys."""
    lower = text.lower()
    for rule in _RULES:
        if any(hint in lower for hint in rule.hints):
            text = rule.pattern.sub(rule.masked, text)
    return text


class Masker:
    """Masks, hashes or drops, as the settings say. Safe from several threads. `secret` keys the hashes."""

    def __init__(self, settings: LedgerSettings, secret: bytes) -> None:
        self._settings = settings
        self._secret = secret

    def content(self, text: str) -> str | None:
        """The words as they may be kept, and as every database takes them; None: not at all."""
        if self._settings.content is not Content.KEEP:
            return None
        storable = text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        return masked(storable) if self._settings.mask else storable

    def digest(self, text: str) -> str | None:
        """The same for questions that differ in case and white space only; None where not even that is kept."""
        if self._settings.content is Content.DROP:
            return None
        plain = " ".join(text.casefold().split())
        return hmac.new(self._secret, plain.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
