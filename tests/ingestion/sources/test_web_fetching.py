"""One request: its limits of time and size, its patience with a busy server, its pace."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.origin import End
from ingestion.sources.web.client import unpacked
from tests.ingestion.sources.servers import HTML, Reply, SiteServer, page, running_site
from tests.ingestion.sources.sites import Reader


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with running_site() as server:
        server.pages = {"/": page("/a"), "/a": page()}
        yield server


def code_of(reader: Reader) -> RejectionCode:
    """Why `/a` could not be had."""
    return reader.scan().unavailable[reader.site.url("/a")].code


def packed(data: bytes, encoding: str = "gzip") -> Reply:
    return Reply(data, headers={"Content-Type": HTML, "Content-Encoding": encoding})


def test_packed_answers_are_unpacked(site: SiteServer) -> None:
    plain = page(text="Packed.").body
    for data, encoding in [
        (gzip.compress(plain), "gzip"),
        (gzip.compress(plain[:50]) + gzip.compress(plain[50:]), "x-gzip"),
        (zlib.compress(plain), "deflate"),
    ]:
        site.pages["/a"] = packed(data, encoding)
        assert Reader(site).scan().fetched[site.url("/a")].document.data == plain


@pytest.mark.parametrize(
    "reply",
    [
        packed(gzip.compress(b"x" * 1000)[:-9]),
        packed(b"not gzip at all"),
        packed(gzip.compress(gzip.compress(b"x")), "gzip, gzip"),
        packed(b"x", "br"),
    ],
)
def test_damaged_or_strangely_packed_answers_are_failures(site: SiteServer, reply: Reply) -> None:
    site.pages["/a"] = reply
    assert code_of(Reader(site)) is RejectionCode.FETCH_FAILED


def test_a_gzip_bomb_is_given_up_at_the_limit(site: SiteServer) -> None:
    site.pages["/a"] = packed(gzip.compress(b"\0" * 50_000_000))
    assert code_of(Reader(site, max_bytes=100_000)) is RejectionCode.TOO_LARGE


def test_a_bomb_is_unpacked_no_further_than_the_limit() -> None:
    assert sum(map(len, unpacked([gzip.compress(b"\0" * 5_000_000)], 1000))) == 1001


def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(site: SiteServer) -> None:
    site.pages["/a"] = Reply(
        headers={"Content-Type": HTML, "Content-Length": "1000000000"}, stream=lambda write: write(b"x") and None
    )
    assert code_of(Reader(site)) is RejectionCode.TOO_LARGE
    assert site.paths().count("/a") == 1


def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(site: SiteServer) -> None:
    size = 10_000
    site.pages["/a"] = Reply(b"x" * size, headers={"Content-Type": "text/plain"})
    assert site.url("/a") in Reader(site, max_bytes=size).scan().fetched
    assert code_of(Reader(site, max_bytes=size - 1)) is RejectionCode.TOO_LARGE


def test_an_endless_body_is_given_up(site: SiteServer) -> None:
    def endless(write: Callable[[bytes], object]) -> None:
        while True:
            write(b"x" * 65_536)

    site.pages["/a"] = Reply(headers={"Content-Type": HTML}, stream=endless)
    assert code_of(Reader(site, max_bytes=200_000)) is RejectionCode.TOO_LARGE
    assert site.hung_up.wait(5)


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_given_up_after_the_time_limit(site: SiteServer, beginning: bytes) -> None:
    """Each byte comes in time; the whole answer does not."""
    never = threading.Event()

    def drip(write: Callable[[bytes], object]) -> None:
        write(beginning)
        while not never.wait(0.02):
            write(b"x" if beginning else b"")

    site.pages["/a"] = Reply(stream=drip, bare=True)
    reader = Reader(site, settings={"timeout_s": 0.15})
    assert code_of(reader) is RejectionCode.TIMEOUT
    assert site.paths().count("/a") == 2


def test_an_answer_that_breaks_off_is_a_failure(site: SiteServer) -> None:
    site.pages["/a"] = Reply(
        headers={"Content-Type": HTML, "Content-Length": "1000"}, stream=lambda write: write(b"short") and None
    )
    assert code_of(Reader(site)) is RejectionCode.FETCH_FAILED
    assert site.paths().count("/a") == 3


def test_a_busy_server_is_asked_again_and_then_answers(site: SiteServer) -> None:
    site.pages["/a"] = [Reply(status=503), Reply(status=429), page()]
    reader = Reader(site)
    assert site.url("/a") in reader.scan().fetched
    assert len(reader.pauses) == 2
    assert 0.5 <= reader.pauses[0] <= 1.5
    assert 1.0 <= reader.pauses[1] <= 3.0


def test_a_server_that_says_when_to_come_back_is_believed(site: SiteServer) -> None:
    site.pages["/a"] = [Reply(status=429, headers={"Retry-After": "7"}), page()]
    reader = Reader(site)
    reader.scan()
    assert reader.pauses == [7.0]
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    site.pages["/a"] = [Reply(status=503, headers={"Retry-After": soon}), page(text="Another.")]
    reader.pauses.clear()
    reader.scan()
    assert 10 < reader.pauses[0] <= 20


def test_a_server_that_wants_a_long_rest_is_left_alone(site: SiteServer) -> None:
    site.pages["/a"] = Reply(status=429, headers={"Retry-After": "3600"})
    reader = Reader(site)
    scan = reader.scan()
    assert scan.unavailable[site.url("/a")].code is RejectionCode.FETCH_FAILED
    assert reader.pauses == []
    assert site.paths().count("/a") == 1
    assert scan.end == End(complete=False)


def test_requests_keep_the_pace_that_source_or_robots_ask_for(site: SiteServer) -> None:
    reader = Reader(site, attributes={"delay_s": 5.0})
    reader.scan()
    assert len(reader.pauses) == 2
    assert all(4 < pause <= 5 for pause in reader.pauses)
    site.pages["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 9\n")
    reader = Reader(site)
    reader.scan()
    assert [8 < pause <= 9 for pause in reader.pauses] == [True]
    site.pages["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 86400\n")
    reader = Reader(site)
    reader.scan()
    assert reader.pauses[0] <= 30


def test_a_server_that_is_not_there_makes_the_source_unavailable() -> None:
    with running_site() as site:
        reader = Reader(site)
    with pytest.raises(SourceUnavailable):
        reader.scan()
    assert len(reader.pauses) == 2


def test_requests_carry_a_name_and_nothing_personal(site: SiteServer) -> None:
    site.pages["/"] = page("/a")
    site.pages["/"].headers["Set-Cookie"] = "session=1"
    Reader(site, settings={"user_agent": "Reader/2 (+https://example.com)"}).scan()
    for _, headers in site.asked:
        assert headers["user-agent"] == "Reader/2 (+https://example.com)"
        assert not {"cookie", "authorization", "referer", "proxy-authorization"} & set(headers)


def test_proxies_of_the_environment_are_not_used(site: SiteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(Reader(site).scan().fetched) == 2


def test_one_connection_serves_a_whole_scan(site: SiteServer) -> None:
    site.pages["/"] = page(*(f"/{number}" for number in range(30)))
    site.pages |= {f"/{number}": page() for number in range(0, 30, 2)}
    opened: list[object] = []
    accept = site.server.get_request
    site.server.get_request = lambda: opened.append(1) or accept()  # type: ignore[method-assign,func-returns-value]
    Reader(site).scan()
    assert len(opened) == 1
