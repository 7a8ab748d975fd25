"""Scans of a real site by links: what becomes an item, what a change means, and what never deletes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.origin import End
from tests.ingestion.sources.servers import HTML, Reply, SiteServer, page, redirect, running_site
from tests.ingestion.sources.sites import Reader


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """A start page, two pages, one of them deeper, and a PDF."""
    with running_site() as server:
        server.pages = {
            "/": page("/a", "b/", "manual.pdf", "https://elsewhere.example/x", "mailto:x@y.z", "/pic.png"),
            "/a": page("/", "/b/#part"),
            "/b/": page("c.html?utm_source=mail"),
            "/b/c.html": page(),
            "/manual.pdf": Reply(b"%PDF-1.7 ...", headers={"Content-Type": "application/pdf"}),
        }
        yield server


def paths(site: SiteServer, keys: object) -> set[str]:
    return {key.removeprefix(site.base) for key in keys}  # type: ignore[attr-defined]


ALL = {"/", "/a", "/b/", "/b/c.html", "/manual.pdf"}


def test_a_site_is_read_by_its_links_and_never_left(site: SiteServer) -> None:
    scan = Reader(site).scan()
    assert paths(site, scan.fetched) == ALL
    assert scan.end == End(complete=True)
    assert set(site.paths()) == ALL
    document = scan.fetched[site.url("/b/")].document
    assert (document.uri, document.name, document.media_type) == (site.url("/b/"), "index.html", "text/html")
    assert scan.fetched[site.url("/manual.pdf")].document.name == "manual.pdf"
    assert scan.fetched[site.url("/a")].document.name == "a.html"


def test_an_unchanged_site_costs_no_bodies_and_all_of_it_is_still_met(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.forget()
    again = reader.scan()
    assert paths(site, again.unchanged) == ALL
    assert again.end == End(complete=True)
    assert all("if-none-match" in headers for path, headers in site.asked if path != "/robots.txt")


def test_last_modified_alone_serves_as_validator_and_as_time(site: SiteServer) -> None:
    written = "Wed, 21 Oct 2015 07:28:00 GMT"
    for reply in site.pages.values():
        assert isinstance(reply, Reply)
        reply.etag = False
        reply.headers["Last-Modified"] = written
    reader = Reader(site)
    modified_at = reader.scan().fetched[site.url("/a")].document.modified_at
    assert modified_at is not None
    assert modified_at.isoformat() == "2015-10-21T07:28:00+00:00"
    site.forget()
    reader.scan()
    assert {headers.get("if-modified-since") for path, headers in site.asked if path != "/robots.txt"} == {written}


@pytest.mark.parametrize(
    "written", ["nonsense", "Wed, 21 Oct 99999999999999999999 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2300"]
)
def test_a_time_that_is_none_does_no_harm(site: SiteServer, written: str) -> None:
    site.pages["/a"] = page()
    site.pages["/a"].headers["Last-Modified"] = written
    assert Reader(site).scan().fetched[site.url("/a")].document.modified_at is None


def test_a_page_without_validators_is_unchanged_by_its_content(site: SiteServer) -> None:
    site.pages["/a"] = Reply(page("/b/").body, headers={"Content-Type": HTML}, etag=False)
    reader = Reader(site)
    reader.scan()
    assert site.url("/a") in reader.scan().unchanged


def test_a_page_that_must_be_fetched_again_is_asked_for_without_validators(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    key = site.url("/a")
    known = reader.memory.items[key]
    reader.memory.items[key] = type(known)(key, None, known.state)
    assert set(reader.scan().fetched) == {key}


def test_a_changed_page_brings_its_new_links(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/b/c.html"] = page("/new")
    site.pages["/new"] = page()
    assert paths(site, reader.scan().fetched) == {"/b/c.html", "/new"}


def test_a_deleted_page_is_gone_whether_linked_or_not(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    del site.pages["/b/c.html"]
    scan = reader.scan()
    assert paths(site, scan.gone) == {"/b/c.html"}
    site.pages["/"] = page("/b/")
    reader.scan()
    assert reader.known() == {"/", "/b/"}


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502, 503])
def test_a_page_that_fails_stays_and_its_links_are_those_of_before(site: SiteServer, status: int) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/b/"] = Reply(b"oops", status=status)
    scan = reader.scan()
    assert scan.unavailable[site.url("/b/")].code is RejectionCode.FETCH_FAILED
    assert str(status) in scan.unavailable[site.url("/b/")].detail
    assert site.url("/b/c.html") in scan.unchanged
    assert scan.end == End(complete=False)
    assert reader.known() == ALL


def test_an_incomplete_scan_deletes_nothing_that_it_did_not_meet(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/"] = page("/b/")
    site.pages["/b/"] = Reply(status=500)
    reader.scan()
    assert reader.known() == ALL


def test_pages_that_are_gone_are_noticed_although_another_always_fails(site: SiteServer) -> None:
    """Nothing leads to them any more, and the scan is never complete: they are asked for once, on their own."""
    site.pages["/b/c.html"] = page("/d", "/kept")
    site.pages |= {"/d": page("/d/e"), "/d/e": page(), "/kept": page(), "/broken": Reply(status=500)}
    reader = Reader(site)
    reader.scan()
    assert reader.known() == ALL | {"/d", "/d/e", "/kept"}
    site.pages["/a"] = page("/broken")
    site.pages["/b/c.html"] = page(text="All links are gone.")
    del site.pages["/d"], site.pages["/d/e"]
    scan = reader.scan()
    assert paths(site, scan.gone) == {"/d", "/d/e"}
    assert scan.end == End(complete=False)
    assert reader.known() == ALL | {"/kept"}


def test_a_page_for_members_only_does_not_keep_scans_from_being_complete(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/members")
    site.pages["/members"] = Reply(status=403)
    scan = Reader(site).scan()
    assert set(scan.unavailable) == {site.url("/members")}
    assert scan.end == End(complete=True)


@pytest.mark.parametrize("reply", [Reply(status=404), Reply(status=500), Reply(status=401), Reply(status=204)])
def test_without_its_start_page_a_site_is_unavailable(site: SiteServer, reply: Reply) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/"] = reply
    with pytest.raises(SourceUnavailable, match=str(reply.status)):
        reader.scan()
    assert reader.known() == ALL


def test_a_server_that_stops_answering_ends_the_scan(site: SiteServer) -> None:
    site.pages["/"] = page(*(f"/{number}" for number in range(50)))
    site.pages |= {f"/{number}": Reply(status=503) for number in range(50)}
    with pytest.raises(SourceUnavailable, match="does not answer any more"):
        Reader(site).scan()
    assert len(set(site.paths())) == 6


def test_a_login_page_in_place_of_every_page_deletes_nothing(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    login = page("/forgot", text="Please log in.")
    before = dict(reader.memory.items)
    site.pages = dict.fromkeys(site.pages, login)
    with pytest.raises(SourceUnavailable, match="login"):
        reader.scan()
    assert reader.memory.items == before


def test_a_rebuilt_site_is_believed(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages = {"/": page("/x", "/y"), "/x": page(), "/y": page()}
    reader.scan()
    assert reader.known() == {"/", "/x", "/y"}


def test_a_redirect_to_a_login_page_deletes_nothing(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    for path in ("/a", "/b/", "/b/c.html"):
        site.pages[path] = redirect("/login", 302)
    site.pages["/login"] = page(text="Please log in.")
    scan = reader.scan()
    assert paths(site, scan.unavailable) == {"/a", "/b/", "/b/c.html"}
    assert reader.known() == ALL | {"/login"}
    site.pages["/"] = redirect("/login", 302)
    with pytest.raises(SourceUnavailable, match="redirects"):
        reader.scan()


def test_a_page_that_moved_is_gone_once_its_new_place_was_reached(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/a"] = redirect("/new-a")
    site.pages["/new-a"] = Reply(status=500)
    scan = reader.scan()
    assert site.url("/a") in scan.unavailable
    assert "/a" in reader.known()
    site.pages["/new-a"] = page("/b/")
    scan = reader.scan()
    assert paths(site, scan.gone) == {"/a"}
    assert reader.known() == (ALL - {"/a"}) | {"/new-a"}


@pytest.mark.parametrize("target", ["https://elsewhere.example/a", "http://127.0.0.1:1/a", "/a", "ftp://x/y", ""])
def test_a_page_that_leads_off_the_site_or_nowhere_stays(site: SiteServer, target: str) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/a"] = redirect(target)
    scan = reader.scan()
    assert site.url("/a") in scan.unavailable
    assert reader.known() == ALL


def test_redirects_end_in_a_loop_or_after_five(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/loop", "/hop0")
    site.pages |= {"/loop": redirect("/loop2"), "/loop2": redirect("/loop")}
    site.pages |= {f"/hop{number}": redirect(f"/hop{number + 1}") for number in range(9)}
    scan = Reader(site).scan()
    assert scan.end == End(complete=True)
    assert "/hop5" in site.paths()
    assert "/hop6" not in site.paths()


def test_the_folder_of_the_start_page_is_the_limit(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/a", "../a", "%2e%2e/a", "//127.0.0.1/a", "d")
    site.pages["/b/d"] = page()
    assert paths(site, Reader(site, "/b/").scan().fetched) == {"/b/", "/b/c.html", "/b/d"}
    assert "/a" not in site.paths()


def test_a_start_without_its_slash_that_redirects_makes_that_its_folder(site: SiteServer) -> None:
    site.pages["/b"] = redirect("/b/")
    site.pages["/b/c.html"] = page("/a")
    assert paths(site, Reader(site, "/b").scan().fetched) == {"/b/", "/b/c.html"}


def test_a_start_that_leads_elsewhere_says_so(site: SiteServer) -> None:
    site.pages["/"] = redirect("http://www.example.com/")
    with pytest.raises(SourceUnavailable, match=r"redirects \(301\) to http://www\.example\.com/.*source's address"):
        Reader(site).scan()


def test_too_many_pages_make_the_scan_incomplete(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    reader.attributes["max_pages"] = 2
    scan = reader.scan()
    assert scan.end == End(complete=False)
    assert len(site.paths()) == 5 + 2
    assert reader.known() == ALL


def test_a_trap_of_endless_addresses_is_bounded(site: SiteServer) -> None:
    """A relative link that goes one folder deeper each time, and a calendar."""
    site.pages["/"] = page("trap/")
    deeper = page("trap/", "x?" + "&".join(f"p{number}=1" for number in range(20)), "y" * 3000)
    site.pages |= {"/" + "trap/" * depth: deeper for depth in range(1, 40)}
    scan = Reader(site).scan()
    assert len(scan.fetched) == 4
    assert scan.end == End(complete=True)


def test_globs_choose_items_but_pages_are_read_for_their_links(site: SiteServer) -> None:
    reader = Reader(site, attributes={"include": ["/b/**"]})
    assert paths(site, reader.scan().fetched) == {"/b/", "/b/c.html"}
    site.forget()
    reader = Reader(site, attributes={"exclude": ["/b/**", "*.pdf"]})
    assert paths(site, reader.scan().fetched) == {"/", "/a"}
    assert "/b/" not in site.paths()


def test_what_pages_say_to_crawlers_is_honoured(site: SiteServer) -> None:
    site.pages["/a"] = page("/from-a", head='<meta name="ROBOTS" content="noindex">')
    site.pages["/from-a"] = page("/from-from-a")
    site.pages["/from-a"].headers["X-Robots-Tag"] = "googlebot: noindex"
    site.pages["/from-from-a"] = page("/never", head="<meta name=robots content=nofollow>")
    site.pages["/b/"] = page()
    site.pages["/b/"].body += b'<a rel="nofollow" href="/never">x</a>'
    scan = Reader(site).scan()
    assert paths(site, scan.fetched) == {"/", "/b/", "/from-a", "/from-from-a", "/manual.pdf"}
    assert "/never" not in site.paths()


def test_a_page_that_asks_not_to_be_indexed_any_more_is_gone(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    changed = page("/", "/b/", text="Other.")
    changed.headers["X-Robots-Tag"] = "noindex"
    site.pages["/a"] = changed
    assert paths(site, reader.scan().gone) == {"/a"}
    site.pages = dict.fromkeys(site.pages, changed)
    with pytest.raises(SourceUnavailable, match="ask not to be indexed"):
        Reader(site).scan()


def test_base_and_canonical_addresses_are_followed(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("one", head='<base href="/deep/">')
    site.pages["/deep/one"] = page("/deep/one?print=1")
    site.pages["/deep/one?print=1"] = page(head='<link rel="canonical" href="/deep/one">')
    scan = Reader(site).scan()
    assert paths(site, scan.fetched) == ALL | {"/deep/one"}


def test_a_folder_and_its_index_are_one_page_if_they_are_the_same(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/index.html", "/b/index.html")
    site.pages["/index.html"] = site.pages["/"]
    site.pages["/b/index.html"] = page(text="Something else than the folder shows.")
    reader = Reader(site)
    assert paths(site, reader.scan().fetched) == ALL | {"/b/index.html"}
    assert paths(site, reader.scan().unchanged) == ALL | {"/b/index.html"}


def test_a_page_is_kept_if_the_one_it_calls_canonical_cannot_be_had(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/v1", "/v2", "/p1", "/p2", "/lost")
    site.pages["/v1"] = page(head='<link rel="canonical" href="/v2">')
    site.pages["/v2"] = page(head='<link rel="canonical" href="/v1">')
    site.pages["/p1"] = page(head='<link rel="canonical" href="/">')
    site.pages["/lost"] = page(head='<link rel="canonical" href="/nowhere">')
    scan = Reader(site).scan()
    found = paths(site, scan.fetched)
    assert found >= ALL | {"/p1", "/lost"}
    assert len(found & {"/v1", "/v2"}) == 1
    assert len(scan.fetched) == sum(path.split("?")[0] != "/p2" for path in found)


def test_other_things_than_documents_are_no_items(site: SiteServer) -> None:
    site.pages["/b/c.html"] = page("/picture", "/feed", "/data.csv", "/notes.md", "/script.js", "/download")
    site.pages["/picture"] = Reply(b"\x89PNG", headers={"Content-Type": "image/png"})
    site.pages["/feed"] = Reply(b"<rss/>", headers={"Content-Type": "application/rss+xml"})
    site.pages["/data.csv"] = Reply(b"a,b", headers={"Content-Type": "application/octet-stream"})
    site.pages["/notes.md"] = Reply(b"# Notes", headers={"Content-Type": "text/plain"})
    site.pages["/download"] = Reply(b"# Notes", headers={"Content-Type": "text/markdown; charset=utf-8"})
    scan = Reader(site).scan()
    names = {seen.document.name for seen in scan.fetched.values()}
    assert names == {"index.html", "a.html", "c.html", "manual.pdf", "data.csv", "notes.md", "download.md"}
    assert "/script.js" not in site.paths()
