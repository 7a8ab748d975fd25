"""The spelling of addresses, and what is read of a page, in time that grows no faster than the page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.sources.web.links import MAX_LINKS, directives_of, read_page
from ingestion.sources.web.media import file_name
from ingestion.sources.web.urls import Site, looks_endless, normalised


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("HTTP://Example.COM:80/a/../b/./c#part", "http://example.com/b/c"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com.:8443/", "https://example.com:8443/"),
        ("/x?utm_source=a&b=1&gclid=2&utm_x", "http://example.com/x?b=1"),
        ("/x?", "http://example.com/x"),
        ("%7euser/%e2%82%ac%2f", "http://example.com/docs/~user/%E2%82%AC%2F"),
        ("ü b", "http://example.com/docs/%C3%BC%20b"),
        ("100%", "http://example.com/docs/100%25"),
        ("%2e%2e/%2E%2e/../admin", "http://example.com/admin"),
        ("..\\..\\admin", "http://example.com/admin"),
        ("?page=2", "http://example.com/docs/start?page=2"),
        ("//other.example/x", "http://other.example/x"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        (" \n/a\tb ", "http://example.com/ab"),
        ("http://user@example.com/", None),
        ("http://example.com:99999/", None),
        ("http://exa mple.com/", None),
        ("http://[::1", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("mailto:a@b.example", None),
        ("/" + "x" * 2001, None),
    ],
)
def test_an_address_has_one_spelling(written: str, expected: str | None) -> None:
    assert normalised(written, "http://example.com/docs/start") == expected


@given(st.text(max_size=60))
def test_every_text_is_an_address_with_a_stable_spelling_or_none(written: str) -> None:
    found = normalised(written, "http://example.com/docs/")
    if found is not None:
        assert found.isascii()
        assert normalised(found) == found


@given(st.text(alphabet="./%2eE\\a?#:@", max_size=30))
def test_nothing_written_leads_out_of_the_folder(written: str) -> None:
    found = Site.of("http://example.com/docs/").locate(written, "http://example.com/docs/x")
    assert found is None or found.startswith("http://example.com/docs/")


@given(st.from_regex(r"(/[a-z.~%-]{0,4}){1,5}", fullmatch=True))
def test_a_plain_path_is_spelt_as_every_other_address(path: str) -> None:
    site = Site.of("http://example.com/")
    assert site.on_host(path, "http://example.com/docs/x") == site.on_host(f"http://example.com{path}") or (
        path.startswith("//")
    )


def test_a_site_is_one_host_one_port_one_folder() -> None:
    site = Site.of("https://example.com/docs/index.html")
    assert site.locate("/docs/a") is None
    assert site.locate("a", "https://example.com/docs/") == "https://example.com/docs/a"
    assert site.locate("http://example.com/docs/a") == "https://example.com/docs/a"
    for outside in ("https://example.com/docsx", "https://example.com:8443/docs/", "https://www.example.com/docs/"):
        assert site.locate(outside) is None


def test_made_up_addresses_are_told_by_their_shape() -> None:
    assert looks_endless("http://x/a/b/a/b/a/b/a/b")
    assert looks_endless("http://x/" + "/".join(map(str, range(40))))
    assert not looks_endless("http://x/docs/api/v1/docs/api?a=1&b=2")


def test_links_are_read_from_whatever_passes_for_html() -> None:
    written = """<!-- <a href=commented> --><script>"<a href='script'>"</script><A HREF = un&#47;quoted class=x>
        <a title="a > b" href='single'><area href="area&amp;x"><a name=here><a href="#part">
        <a href="" ><a rel="next nofollow" href=never><link rel="CANONICAL" href="/c"><link rel=next href=n>
        <iframe src=frame></iframe><base href="/base/"><a href="unclosed"""
    page = read_page(written.encode(), None)
    assert page.links == ["un/quoted", "single", "area&x", "n", "frame", '"unclosed']
    assert (page.canonical, page.base) == ("/c", "/base/")


def test_links_are_decoded_as_the_page_says() -> None:
    assert read_page('<a href="/ü">'.encode("latin-1"), "iso-8859-1").links == ["/ü"]
    assert read_page('<meta charset=latin-1><a href="/ü">'.encode("latin-1"), None).links == ["/ü"]
    for charset in ("no-such-charset", "unicode_escape", "idna", "rot13", "utf-16", "x" * 500, "a\0b"):
        assert read_page('<a href="/ü">'.encode(), charset).links == ["/ü"]


def test_a_page_that_only_sends_its_reader_on_is_followed() -> None:
    for content in ("0; url=/latest/", "0;URL='/latest/'", " 5 ; url = /latest/"):
        assert read_page(f'<meta http-equiv="Refresh" content="{content}">'.encode(), None).links == ["/latest/"]
    assert read_page(b'<meta http-equiv="refresh" content="30">', None).links == []


def test_links_are_counted() -> None:
    assert len(read_page(b"<a href=x>" * (MAX_LINKS + 1), None).links) == MAX_LINKS


@pytest.mark.parametrize(
    "piece", [b"<a ", b"<!--", b"<a href='", b"<a b=\"c' ", b"<script>", b"<", b"<a" + b" " * 50 + b"=", b"<!", b"</a "]
)
def test_hostile_pages_take_linear_time(piece: bytes) -> None:
    """A quadratic scan of these takes minutes: the run's own time-out catches it."""
    read_page(piece * (500_000 // len(piece)), None)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("noindex", {"noindex"}),
        ("None", {"none", "noindex", "nofollow"}),
        ("googlebot: noindex, nofollow", set()),
        ("plumbline: noindex, max-snippet: 20", {"noindex", "max-snippet: 20"}),
        ("", {""}),
    ],
)
def test_directives_are_those_for_everyone_or_for_this_crawler(header: str, expected: set[str]) -> None:
    assert directives_of(header, "Plumbline") == expected


@pytest.mark.parametrize(
    ("url", "essence", "name"),
    [
        ("http://x/", "text/html", "index.html"),
        ("http://x/a.php", "text/html", "a.php.html"),
        ("http://x/a.HTM", "text/html", "a.HTM"),
        ("http://x/a.md", "text/plain", "a.md"),
        ("http://x/a", "text/plain", "a.txt"),
        ("http://x/a.pdf", "application/octet-stream", "a.pdf"),
        ("http://x/a%2F..%2Fb", "application/pdf", "a_.._b.pdf"),
        ("http://x/a", "application/octet-stream", None),
        ("http://x/a", "image/png", None),
        ("http://x/a", "", "a.html"),
        ("http://x/a.zip", "", None),
    ],
)
def test_documents_are_named_after_their_type(url: str, essence: str, name: str | None) -> None:
    assert file_name(url, essence) == name
