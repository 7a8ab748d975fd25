"""What a query asks for literally is recognised, and ordinary words are not."""

from __future__ import annotations

import time

import pytest

from service.retrieval.needles import find_needles, is_identifier, stands_alone


@pytest.mark.parametrize(
    "token",
    [
        "GH-5021", "LDG-1107", "0x80070005", "ORA-00060", "http_requests_total", "MAX_CONN", "NullPointerException",
        "CrashLoopBackOff", "OOMKilled", "KubeletDown", "java.net.ConnectException", "/etc/nginx/nginx.conf",
        "10.0.0.1", "4.7.1", "v1.2.3", "ECONNREFUSED", "SIGKILL", "host-07.example", "maxPoolSize2",
    ],
)  # fmt: skip
def test_identifiers_are_recognised(token: str) -> None:
    assert is_identifier(token)
    assert token in find_needles(f"what is {token}?")


@pytest.mark.parametrize(
    "token", ["gateway", "on-call", "GitHub", "2026", "502s", "3rd", "and/or", "error", "Kafka", "don't", "API", "30d"]
)
def test_ordinary_words_are_not(token: str) -> None:
    assert not is_identifier(token)
    assert find_needles(f"what is {token} for") == ()


def test_quoted_phrases_come_first_and_case_does_not_make_two() -> None:
    query = 'GH-5021 and gh-5021 say "upstream closed" in `tw logs`'

    assert find_needles(query) == ("upstream closed", "tw logs", "GH-5021")


def test_a_bare_number_counts_after_the_word_error_or_status() -> None:
    assert find_needles("HTTP status 502 at night") == ("502",)
    assert find_needles("502 at night") == ()


def test_an_identifier_stands_alone() -> None:
    assert stands_alone("GH-502", "see gh-502.")
    assert not stands_alone("GH-502", "see GH-5021")


@pytest.mark.parametrize(
    "text", ["a_" * 4000 + "-", "A" * 8000, "a." * 4000, "/a" * 4000 + "!", '"' * 8000, "aA" * 4000]
)
def test_hostile_queries_take_no_time(text: str) -> None:
    started = time.perf_counter()
    find_needles(text)

    assert time.perf_counter() - started < 0.5
