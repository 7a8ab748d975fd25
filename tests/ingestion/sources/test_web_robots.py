"""What a site's robots.txt forbids is not fetched; what it forbids of late is not deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingestion.errors import SourceUnavailable
from ingestion.sources.origin import End
from tests.ingestion.sources.servers import Reply, SiteServer, page, redirect, running_site, sitemap
from tests.ingestion.sources.sites import Reader


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with running_site() as server:
        server.pages = {"/": page("/a", "/private/x"), "/a": page(), "/private/x": page("/private/y")}
        server.pages["/private/y"] = page()
        yield server


def robots(text: str) -> Reply:
    return Reply(text.encode(), headers={"Content-Type": "text/plain"})


def test_forbidden_pages_are_neither_fetched_nor_items(site: SiteServer) -> None:
    site.pages["/robots.txt"] = robots("User-agent: *\nDisallow: /private/\n")
    scan = Reader(site).scan()
    assert set(site.paths()) == {"/", "/a"}
    assert scan.unavailable == {}
    assert scan.end == End(complete=True)


def test_the_group_that_names_the_crawler_goes_before_the_general_one(site: SiteServer) -> None:
    site.pages["/robots.txt"] = robots(
        "User-agent: *\nDisallow: /\n\nUser-agent: plumbline\nDisallow: /private/\nAllow: /private/y$\n"
    )
    site.pages["/a"] = page("/private/y")
    Reader(site).scan()
    assert set(site.paths()) == {"/", "/a", "/private/y"}


def test_pages_that_are_forbidden_of_late_stay_and_that_is_said(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.forget()
    site.pages["/robots.txt"] = robots("User-agent: *\nDisallow: /private/x\n")
    scan = reader.scan()
    assert "robots.txt" in scan.unavailable[site.url("/private/x")].detail
    assert scan.end == End(complete=True)
    assert reader.known() == {"/", "/a", "/private/x", "/private/y"}
    assert set(site.paths()) == {"/", "/a", "/private/y"}


def test_a_site_that_forbids_everything_of_late_loses_nothing(site: SiteServer) -> None:
    reader = Reader(site)
    reader.scan()
    site.pages["/robots.txt"] = robots("User-agent: *\nDisallow: /\n")
    with pytest.raises(SourceUnavailable, match=r"robots\.txt forbids"):
        reader.scan()
    assert len(reader.known()) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_site_without_the_file_allows_everything(site: SiteServer, status: int) -> None:
    site.pages["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /\n", status=status)
    assert len(Reader(site).scan().fetched) == 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_file_that_cannot_be_read_for_now_forbids_everything(site: SiteServer, status: int) -> None:
    site.pages["/robots.txt"] = Reply(status=status)
    with pytest.raises(SourceUnavailable, match=f"answers {status}"):
        Reader(site).scan()
    assert site.paths() == []


def test_the_file_may_be_elsewhere_within_five_redirects(site: SiteServer) -> None:
    site.pages["/robots.txt"] = redirect("/r1", 302)
    site.pages |= {f"/r{number}": redirect(f"/r{number + 1}") for number in range(1, 5)}
    site.pages["/r5"] = robots("User-agent: *\nDisallow: /private/\n")
    Reader(site).scan()
    assert "/private/x" not in site.paths()
    site.pages["/r5"] = redirect("/r5")
    assert len(Reader(site).scan().fetched) == 4


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffUser-agent: *\nDisallow: /private/\n",
        "User-agent: *\r\nDisallow: /private/\r\n" + "# padding\n" * 100_000,
        "<html>nonsense</html>\nUSER-AGENT: PlumbLine\ndisallow:/private/\n\0\0",
    ],
)
def test_odd_files_are_read_as_far_as_they_make_sense(site: SiteServer, text: str) -> None:
    site.pages["/robots.txt"] = robots(text)
    Reader(site).scan()
    assert set(site.paths()) == {"/", "/a"}


def test_what_lies_beyond_the_first_half_megabyte_is_not_read(site: SiteServer) -> None:
    site.pages["/robots.txt"] = robots("#" * 600_000 + "\nUser-agent: *\nDisallow: /private/\n")
    assert len(Reader(site).scan().fetched) == 4


def test_sitemaps_that_it_names_add_pages_that_no_link_leads_to(site: SiteServer) -> None:
    named = [site.url("/lonely"), site.url("/a"), "https://elsewhere.example/x"]
    site.pages["/robots.txt"] = robots(f"Sitemap: {site.url('/map.xml')}\nSitemap: https://elsewhere.example/s.xml\n")
    site.pages["/map.xml"] = sitemap(named)
    site.pages["/lonely"] = page("/below-lonely")
    site.pages["/below-lonely"] = page()
    reader = Reader(site)
    assert {site.url("/lonely"), site.url("/below-lonely")} <= set(reader.scan().fetched)
    site.pages["/map.xml"] = Reply(status=500)
    scan = reader.scan()
    assert scan.end == End(complete=False)
    assert "/lonely" in reader.known()
    site.pages["/map.xml"] = Reply(status=404)
    assert reader.scan().end == End(complete=True)
    assert "/lonely" not in reader.known()
