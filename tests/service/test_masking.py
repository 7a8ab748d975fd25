"""Secrets and e-mail addresses are masked, and nothing else is: commands and numbers stay as they are."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.masking import Masker, masked
from service.settings import Content, LedgerSettings

WORDS = "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1cE3gI5kM7"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB+abc/def==\n-----END RSA PRIVATE KEY-----"
JWT = f"eyJ{WORDS}.eyJ{WORDS}.{WORDS}"

SECRETS = [
    (f"key sk-{WORDS} fails", "key [secret] fails"),
    (f"sk-proj-{WORDS}", "[secret]"),
    ("sk" + f"_live_{WORDS}", "[secret]"),
    ("AKIA" + "ABCDEFGHIJ234567", "[secret]"),
    (f"ghp_{WORDS}", "[secret]"),
    (f"github_pat_{WORDS}", "[secret]"),
    (f"xoxb-1234567890-{WORDS}", "[secret]"),
    (f"glpat-{WORDS}", "[secret]"),
    (f"my key is pl_0123456789ab_{WORDS}.", "my key is [secret]."),
    (f"({JWT})", "([secret])"),
    (f"Authorization: Bearer {JWT}", "Authorization: Bearer [secret]"),
    ("curl -H 'Authorization: Basic dXNlcjpwYXNz' https://x", "curl -H 'Authorization: Basic [secret]' https://x"),
    ("authorization: abc", "authorization: [secret]"),
    ("with bearer abc123def456 it works", "with bearer [secret] it works"),
    ("password=hunter2 in the file", "password=[secret] in the file"),
    ("DB_PASSWORD = 'two words'", "DB_PASSWORD = [secret]"),
    ("password: hunter2!", "password: [secret]"),
    ('{"api_key": "abc def"}', '{"api_key": [secret]}'),
    ("https://x/?token=abcdef&page=2", "https://x/?token=[secret]&page=2"),
    ("vault login --token s.1234abcd", "vault login --token [secret]"),
    ("mysql --admin-password hunter2x1 -h db", "mysql --admin-password [secret] -h db"),
    ("aws_secret_access_key=abc/def+ghi", "aws_secret_access_key=[secret]"),
    ("postgres://app:p4ss@db.example.com:5432/x", "postgres://app:[secret]@db.example.com:5432/x"),
    ("redis://:p4ss@cache:6379", "redis://:[secret]@cache:6379"),
    (f"before\n{KEY}\nafter", "before\n[private key]\nafter"),
    (f"cut off {KEY[:60]}", "cut off [private key]"),
    ("mail jane.doe+x@example.co.uk, please", "mail [e-mail], please"),
    ("<jürgen@bücher.example>", "<[e-mail]>"),
]
HARMLESS = [
    "kubectl -n edge rollout restart deployment/gatehouse",
    "How do I rotate the API key? The token expires after 3600 s.",
    "set password=$DB_PASSWORD and TOKEN=${TOKEN}",
    'curl -H "Authorization: Bearer $TOKEN" https://host:8443/v1',
    "curl -H 'Authorization: Bearer <token>' https://host",
    "password: see the vault",
    "Password: required",
    "kubectl create secret tls web-tls --cert=a.pem --key=b.pem",
    "--secret web-tls --token-ttl 30",
    "max_tokens=500 budget_tokens: 800",
    "ssh deploy@gw1.internal.example systemctl restart x",
    "scp file admin@10.0.0.1:/tmp",
    "git clone git@git.example.com:org/repo.git",
    "rsync -a deploy@files.example.com:/srv .",
    "root@db1.example.com",
    "postgres://app@db.example.com/x",
    "http://host:8080/path@2",
    "pip install pkg@1.2.3 node@20.1",
    "error 0x80070005 at 10.20.30.40:8080, id 6f1c2a3e-0000-4000-8000-000000000000",
    "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "task-1234567890123456 on disk-1234567890123456789",
    "sk-learn-like-estimators-are-fine",
    "eyJ is how a token begins",
]


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_a_secret_is_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_masking_twice_is_masking_once(text: str, expected: str) -> None:
    assert masked(expected) == expected


@given(
    st.lists(st.sampled_from([text for text, _ in SECRETS]), min_size=1, max_size=4),
    st.text(string.ascii_letters + " .,\n", max_size=50),
)
def test_a_secret_is_masked_wherever_it_stands(secrets: list[str], around: str) -> None:
    found = masked(f"\n{around}\n".join(["", *secrets, ""]))
    assert WORDS not in found
    assert "hunter2" not in found
    assert "p4ss" not in found


PIECES = [
    "-----BEGIN PRIVATE KEY-----", "-", "a", "a.", "@", "://", ":", "eyJ", "eyJ-", "sk-", "xoxb-", "password", "=",
    "token: ", "--token ", "authorization:", "bearer ", "'", '"', " ", "\n", "1", "SG.", "-a", "secret_key",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_no_text_takes_time_out_of_proportion(pieces: list[str]) -> None:
    """As long as a request may be. Time that grew with the square of the length would be some hours of it."""
    unit = "".join(pieces)
    masked(unit * (100_000 // len(unit)))


def test_no_words_are_kept_where_the_settings_say_so() -> None:
    hashing = Masker(LedgerSettings(content=Content.HASH), b"k")
    assert hashing.content("words") is None
    assert hashing.digest("Two  words") == hashing.digest("two words\n") != hashing.digest("two word")
    assert hashing.digest("two words") != Masker(LedgerSettings(content=Content.HASH), b"other").digest("two words")
    dropping = Masker(LedgerSettings(content=Content.DROP), b"k")
    assert (dropping.content("words"), dropping.digest("words")) == (None, None)
    assert Masker(LedgerSettings(mask=False), b"k").content("a@b.example") == "a@b.example"


@given(st.text())
def test_every_database_takes_what_is_kept(text: str) -> None:
    kept = Masker(LedgerSettings(), b"k").content(text + "\0\ud800")
    assert kept is not None
    assert "\0" not in kept
    kept.encode()
