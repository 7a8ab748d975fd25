"""Feedback on the web page: ratings, corrections and clicks as the ledger keeps them, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.ui_parts import CHROMIUM, SWAP, Site, Tab, running_site, watched_tab
from tests.conftest import chromium_program

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("feedback"), models_dir, sample_docs) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_program(), args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(site: Site, browser: Any) -> Iterator[Tab]:
    with watched_tab(browser, site, {"width": 1100, "height": 850}, 60_000) as tab:
        yield tab


def sent(tab: Tab, act: Any) -> dict[str, Any]:
    """What the service stored of the feedback that `act` gave."""
    with tab.page.expect_response("**/v1/feedback") as told:
        act()
    assert told.value.status == 201, told.value.text()
    found: dict[str, Any] = told.value.json()
    with httpx.Client(base_url=tab.site.url) as client:
        kept = client.get("/v1/feedback", params={"trace_id": found["trace_id"]}).json()["feedback"]
    assert found in kept
    return found


def test_an_answer_is_rated_and_corrected_by_keyboard(tab: Tab) -> None:
    page = tab.open()
    tab.ask(SWAP)
    page.focus('.helped [data-rating="down"]')

    rated = sent(tab, lambda: page.keyboard.press("Enter"))
    page.wait_for_selector(".helped [role=status]:not(:empty)")
    page.keyboard.press("Tab")
    assert tab.focused() == "correction-text"
    page.keyboard.type("Ask the team lead first.")
    page.keyboard.press("Tab")
    corrected = sent(tab, lambda: page.keyboard.press("Enter"))

    assert (rated["kind"], rated["rating"]) == ("rating", "down")
    assert (corrected["kind"], corrected["text"]) == ("correction", "Ask the team lead first.")
    assert rated["trace_id"] == corrected["trace_id"]
    page.wait_for_selector("#correction", state="hidden")
    assert page.inner_text(".helped [role=status]") == "Noted, thank you."
    assert page.evaluate("document.activeElement.getAttribute('role')") == "status"
    assert page.get_attribute('.helped [data-rating="down"]', "aria-pressed") == "true"


def test_another_mind_is_another_rating(tab: Tab) -> None:
    page = tab.open()
    tab.ask(SWAP)

    first = sent(tab, lambda: page.click('.helped [data-rating="down"]'))
    assert page.is_visible("#correction")
    second = sent(tab, lambda: page.click('.helped [data-rating="up"]'))

    assert [first["rating"], second["rating"]] == ["down", "up"]
    assert not page.is_visible("#correction")


def test_a_refusal_can_be_rated(tab: Tab) -> None:
    page = tab.open()
    tab.ask("What is the airspeed velocity of an unladen swallow?")
    page.wait_for_selector(".refusal")

    assert sent(tab, lambda: page.click('.helped [data-rating="up"]'))["rating"] == "up"


def test_opening_a_source_is_a_click_with_its_rank(tab: Tab) -> None:
    page = tab.open()
    tab.ask(SWAP)
    last = page.locator(".source").count()

    told = sent(tab, lambda: page.click(f"li:nth-child({last}) > .source"))

    assert (told["kind"], told["rank"]) == ("click", last)
    page.wait_for_selector("#reader mark")


def test_opening_a_hit_is_a_click_with_its_rank_and_counts_once(tab: Tab) -> None:
    page = tab.open()
    with page.expect_response("**/v1/search") as found:
        tab.ask("refund claim late parcel", view="search")
    hits = [hit["chunk_id"] for hit in found.value.json()["hits"]]
    title = page.locator(".hit-open").nth(1)

    told = sent(tab, title.click)
    page.keyboard.press("Escape")
    title.click()
    other = sent(tab, page.locator(".hit-open").first.click)

    assert (told["kind"], told["rank"]) == ("click", hits.index(told["chunk_id"]) + 1)
    assert told["rank"] > 1
    assert other["rank"] == 1
    with httpx.Client(base_url=tab.site.url) as client:
        kept = client.get("/v1/feedback", params={"trace_id": told["trace_id"]}).json()["feedback"]
    assert len(kept) == 2


def test_where_it_is_not_permitted_it_is_asked_once_and_never_again(tab: Tab) -> None:
    problem = {"code": "forbidden", "title": "The key does not allow this", "status": 403, "detail": "no"}
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.post_data_json["kind"])
        route.fulfill(status=403, json=problem, content_type="application/problem+json")

    tab.page.route("**/v1/feedback", refuse)
    page = tab.open()
    tab.ask("refund claim late parcel", view="search")
    with page.expect_response("**/v1/feedback"):
        page.locator(".hit-open").first.click()
    page.keyboard.press("Escape")
    page.locator(".hit-open").nth(1).click()
    page.wait_for_selector("#reader mark")
    page.keyboard.press("Escape")
    tab.ask(SWAP)

    assert asked == ["click"]
    assert page.locator(".helped").count() == 0
    assert page.locator(".problem").count() == 0
    tab.errors.clear()  # the browser itself tells of a 403
