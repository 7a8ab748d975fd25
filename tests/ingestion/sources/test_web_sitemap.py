"""Scans by sitemap: what it names is the site, whatever the pages link to."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from ingestion.errors import SourceUnavailable
from ingestion.sources.origin import End
from ingestion.sources.web.sitemap import parse_sitemap
from tests.ingestion.sources.servers import Reply, SiteServer, page, redirect, running_site, sitemap
from tests.ingestion.sources.sites import Reader


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with running_site() as server:
        server.pages = {"/one": page("/unnamed"), "/two": page(), "/docs/three": page(), "/unnamed": page()}
        server.pages["/sitemap.xml"] = sitemap(map(server.url, ("/one", "/two", "/docs/three")))
        yield server


@pytest.fixture
def reader(site: SiteServer) -> Reader:
    return Reader(site, "/sitemap.xml")


def test_a_sitemap_names_the_items_and_links_are_not_followed(site: SiteServer, reader: Reader) -> None:
    scan = reader.scan()
    assert reader.known() == {"/one", "/two", "/docs/three"}
    assert scan.end == End(complete=True)
    assert "/unnamed" not in site.paths()


def test_a_second_scan_asks_every_page_whatever_lastmod_says(site: SiteServer, reader: Reader) -> None:
    reader.scan()
    site.pages["/two"] = page(text="Changed, while lastmod says 2020 as before.")
    scan = reader.scan()
    assert set(scan.fetched) == {site.url("/two")}
    assert len(scan.unchanged) == 2


def test_what_is_not_named_any_more_is_gone_and_what_fails_is_not(site: SiteServer, reader: Reader) -> None:
    reader.scan()
    site.pages["/sitemap.xml"] = sitemap(map(site.url, ("/one", "/two")))
    site.pages["/two"] = Reply(status=500)
    scan = reader.scan()
    assert set(scan.unavailable) == {site.url("/two")}
    assert scan.end == End(complete=True)
    assert reader.known() == {"/one", "/two"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=404),
        Reply(status=503),
        page(text="Please log in."),
        Reply(b""),
        Reply(b"<urlset><url><loc>http://x"),
        Reply(b"<rss></rss>"),
        redirect("/nowhere"),
        sitemap([]),
        sitemap(["https://elsewhere.example/one"]),
    ],
)
def test_a_sitemap_that_is_none_deletes_nothing(site: SiteServer, reader: Reader, reply: Reply) -> None:
    reader.scan()
    site.pages["/sitemap.xml"] = reply
    with pytest.raises(SourceUnavailable):
        reader.scan()
    assert reader.known() == {"/one", "/two", "/docs/three"}


def test_a_site_that_answers_404_to_everything_deletes_nothing(site: SiteServer, reader: Reader) -> None:
    reader.scan()
    site.pages = {"/sitemap.xml": site.pages["/sitemap.xml"]}
    with pytest.raises(SourceUnavailable, match="not one document"):
        reader.scan()
    assert len(reader.known()) == 3


def test_a_site_that_was_emptied_page_and_sitemap_alike_is_believed(site: SiteServer, reader: Reader) -> None:
    reader.scan()
    site.pages = {"/sitemap.xml": sitemap([])}
    assert reader.scan().end == End(complete=True)
    assert reader.known() == set()


def test_indexes_are_followed_packed_ones_too_and_never_off_the_host(site: SiteServer) -> None:
    below = ["/a.xml.gz", "/deep/b.xml", "/index.xml", "https://elsewhere.example/c.xml"]
    site.pages["/index.xml"] = sitemap([url if "//" in url else site.url(url) for url in below], index=True)
    site.pages["/a.xml.gz"] = Reply(gzip.compress(sitemap([site.url("/one")]).body))
    site.pages["/deep/b.xml"] = sitemap([site.url("/two")])
    reader = Reader(site, "/index.xml")
    assert reader.scan().end == End(complete=True)
    assert reader.known() == {"/one", "/two"}
    site.pages["/deep/b.xml"] = Reply(status=404)
    assert reader.scan().end == End(complete=False)
    assert reader.known() == {"/one", "/two"}


def test_a_source_that_changes_from_sitemap_to_links_reads_the_links(site: SiteServer, reader: Reader) -> None:
    """No page was asked for its links before, so an answer without a body would not do."""
    reader.scan()
    site.pages["/"] = page("/one")
    reader.path = "/"
    reader.scan()
    assert reader.known() == {"/", "/one", "/unnamed"}


def test_the_folder_of_the_sitemap_and_the_globs_are_the_limit(site: SiteServer) -> None:
    site.pages["/docs/sitemap.xml"] = site.pages["/sitemap.xml"]
    reader = Reader(site, "/docs/sitemap.xml")
    reader.scan()
    assert reader.known() == {"/docs/three"}
    site.forget()
    reader = Reader(site, "/sitemap.xml", attributes={"include": ["/two"]})
    reader.scan()
    assert reader.known() == {"/two"}


def test_more_pages_than_allowed_are_not_read_and_that_is_said(site: SiteServer, reader: Reader) -> None:
    reader.scan()
    site.forget()
    reader.attributes["max_pages"] = 2
    assert reader.scan().end == End(complete=False)
    assert site.paths() == ["/sitemap.xml", "/sitemap.xml", "/one", "/two"]
    assert len(reader.known()) == 3


def test_addresses_are_read_with_their_escapes_and_without_extensions() -> None:
    written = b"""<?xml version="1.0" encoding="UTF-8"?>
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/x">
          <url><loc> http://x/?a=1&amp;b=2 </loc><image:image><image:loc>http://x/i.png</image:loc></image:image></url>
          <url><loc><![CDATA[http://x/c]]></loc></url>
        </urlset>"""
    assert parse_sitemap(written) == ([], ["http://x/?a=1&b=2", "http://x/c"])


def test_a_document_type_is_refused_and_with_it_every_entity() -> None:
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    external = b'<!DOCTYPE l SYSTEM "file:///etc/passwd"><urlset/>'
    for data in (bomb, external):
        with pytest.raises(ValueError, match="document type"):
            parse_sitemap(data)


def test_sitemaps_have_limits() -> None:
    with pytest.raises(ValueError, match="larger"):
        parse_sitemap(gzip.compress(b"<urlset>" + b" " * 60_000_000))
    with pytest.raises(ValueError, match="more than 50000"):
        parse_sitemap(sitemap(["http://x/"] * 50_001).body)
