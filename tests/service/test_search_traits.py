"""What a query is by its form, and how well it names a title."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.records import ChunkId
from ingestion.corpus.sparse import SparseEncoder
from service.retrieval.needles import find_needles
from service.retrieval.titles import Titles
from service.retrieval.traits import QueryClass, classify, gist


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ORA-00060", QueryClass.IDENTIFIER),
        ("what is ORA-00060", QueryClass.IDENTIFIER),
        ('"connection reset by peer"', QueryClass.IDENTIFIER),
        ("/etc/nginx/nginx.conf", QueryClass.IDENTIFIER),
        ("james franco spring breakers", QueryClass.KEYWORDS),
        ("gateway 502", QueryClass.KEYWORDS),
        ("how to restart", QueryClass.QUESTION),
        ("restart?", QueryClass.QUESTION),
        ("Wie starte ich", QueryClass.QUESTION),
        ("the gateway returns errors after an upgrade", QueryClass.QUESTION),
        ("Disk is full. The node exporter says so.", QueryClass.TICKET),
        ("Disk is full. What do I delete first?", QueryClass.QUESTION),
        ("ERROR cannot connect\nERROR giving up", QueryClass.TICKET),
        ("word " * 31, QueryClass.TICKET),
    ],
)
def test_a_query_is_told_by_its_form(text: str, kind: QueryClass) -> None:
    assert classify(text, find_needles(text)) is kind


@given(st.text(max_size=300))
def test_any_text_is_of_some_kind_and_begins_with_something(text: str) -> None:
    assert classify(text, find_needles(text)) in QueryClass
    assert gist(text) or not text


def test_the_gist_of_a_ticket_is_what_it_asks_or_else_what_it_begins_with() -> None:
    assert gist("Disk is full. The node exporter says so.") == "Disk is full."
    assert gist("Subject of it\nand more of it") == "Subject of it"
    assert gist("Disk is full. What is safe to delete? It is urgent now.") == "What is safe to delete?"
    assert gist("one line only") == "one line only"


@pytest.mark.parametrize(
    ("query", "title", "share"),
    [
        ("node filesystem is full", "NodeFilesystemFull", 1.0),
        ("the filesystem", "NodeFilesystemFull", 1 / 3),
        ("restarting gateways", "Restart the gateway", 1.0),
        ("something else", "Restart the gateway", 0.0),
        ("anything", "", 0.0),
    ],
)
def test_the_share_of_a_title_that_a_query_names(query: str, title: str, share: float) -> None:
    encoder = SparseEncoder()

    titles = Titles(encoder)
    asked = frozenset(encoder.terms(query))
    expected = {"a": pytest.approx(share)} if title else {}

    assert titles.shares(asked, [ChunkId("a")], lambda _: {ChunkId("a"): title}) == expected
    assert titles.shares(asked, [ChunkId("a")], lambda _: {}) == expected
    assert titles.shares(asked, [ChunkId("b")], lambda _: {}) == {}
