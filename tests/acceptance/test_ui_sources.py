"""The page of sources in a real browser: what it shows, what its buttons do, and that it keeps up by itself."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.ui_parts import CHROMIUM, WATCH
from tests.conftest import chromium_program
from tests.service.http_parts import Keyed
from tests.service.source_parts import folder_of, serving_sources, sync

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

pytestmark = pytest.mark.browser

WAIT_MS = 60_000
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ui-sources")


@pytest.fixture(scope="module")
def served(base: Path, models_dir: Path) -> Iterator[Keyed]:
    """The service that every test here looks at."""
    with serving_sources(base, models_dir) as keyed:
        yield keyed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_program(), args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def admin(served: Keyed) -> Iterator[httpx.Client]:
    """Calls the service; there are no sources when a test begins."""
    with served.client("admin") as client:
        for source in client.get("/v1/sources").json()["sources"]:
            client.delete(f"/v1/sources/{source['id']}")
        yield client


@pytest.fixture
def docs(base: Path) -> Iterator[Path]:
    folder = base / "origins" / uuid.uuid4().hex[:8]
    folder.mkdir()
    (folder / "crane.md").write_text("# Crane\n\nThe harbour crane lifts forty tons.\n")
    (folder / "barge.md").write_text("# Barge\n\nThe barge leaves the quay at noon.\n")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page of the size that the test asks for. Afterwards: nothing was refused, and no script failed."""
    failed: list[str] = []
    with closing(browser.new_context(viewport=getattr(request, "param", DESKTOP), reduced_motion="reduce")) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.on("pageerror", lambda error: failed.append(str(error)))
        yield page
        assert page.evaluate("window.refused") == []
        assert failed == []


def open_page(page: Any, served: Keyed, name: str = "admin") -> None:
    """The page, with the key given as a person gives it."""
    page.goto(f"{served.url}/sources")
    page.wait_for_selector("#key-form", state="visible")
    page.fill("#key", served.tokens[name])
    page.press("#key", "Enter")


def card(id_: str) -> str:
    return f"li:has(> .origin-head #origin-{id_})"


def test_without_sources_the_page_says_how_to_add_one(page: Any, served: Keyed, admin: httpx.Client) -> None:
    open_page(page, served)
    page.wait_for_selector("#empty", state="visible")

    assert "plumbline source add folder" in page.inner_text("#example-cli")
    assert f"curl {served.url}/v1/sources" in page.inner_text("#example-curl")
    page.click("#empty .copy >> nth=0")
    page.wait_for_selector("#empty .copy:has-text('Copied')")


def test_a_source_is_synced_compared_and_paused(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    admin.post("/v1/sources", json=folder_of(docs, "handbook")).raise_for_status()
    open_page(page, served)
    mine = card("handbook")
    page.wait_for_selector(f"{mine} .health[data-health=never_synced]")
    assert str(docs) in page.inner_text(f"{mine} .place")

    page.click(f"{mine} button:has-text('Sync now')")
    page.wait_for_selector(f"{mine} .health[data-health=ok]")
    assert page.inner_text(f"{mine} dd >> nth=0") == "2"
    page.wait_for_selector("#summary:has-text('1 source: 1 ok')")

    page.click(f"{mine} button:has-text('Compare')")
    page.wait_for_selector(f"{mine} .compared[data-equal=true]")
    (docs / "crane.md").unlink()
    (docs / "tug.md").write_text("# Tug\n\nThe tugboat waits at pier nine.\n")
    page.click(f"{mine} button:has-text('Compare')")
    page.wait_for_selector(f"{mine} .compared[data-equal=false]")
    assert {"1 missing", "1 orphaned"} == set(page.locator(f"{mine} .compared li strong").all_inner_texts())
    assert "tug.md" in page.inner_text(f"{mine} .compared li:has-text('missing')")

    page.click(f"{mine} button:has-text('Pause')")
    page.wait_for_selector(f"{mine} .health[data-health=paused]")
    assert page.evaluate("document.activeElement.textContent") == "Resume"
    assert admin.get("/v1/sources/handbook").json()["paused"]
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{mine} .health[data-health=ok]")
    assert not admin.get("/v1/sources/handbook").json()["paused"]


def test_what_fails_is_told_and_can_be_tried_again(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing that a reader could use")
    admin.post("/v1/sources", json=folder_of(docs, "handbook")).raise_for_status()
    for _ in range(3):
        sync(admin, "handbook")
    open_page(page, served)

    page.wait_for_selector("#failed li:has-text('broken.pdf') code:has-text('quarantined')")
    assert "3 (1 failed)" in page.inner_text(card("handbook"))
    (docs / "broken.pdf").write_text("# not broken any more, and no PDF\n")
    (docs / "broken.pdf").rename(docs / "mended.md")
    page.click("#failed button:has-text('Try again')")
    page.wait_for_selector("#failures", state="hidden")


def test_a_source_whose_origin_is_gone_says_so(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    admin.post("/v1/sources", json=folder_of(docs, "handbook", interval_s=86_400)).raise_for_status()
    sync(admin, "handbook")
    shutil.rmtree(docs)
    open_page(page, served)
    page.wait_for_selector(card("handbook"))

    page.click(f"{card('handbook')} button:has-text('Sync now')")

    page.wait_for_selector(f"{card('handbook')} .health[data-health=failing]")
    error = page.inner_text(f"{card('handbook')} .origin-error >> nth=0")
    assert "source_unavailable" in error
    assert str(docs) in error
    page.click(f"{card('handbook')} button:has-text('Compare')")
    page.wait_for_selector(f"{card('handbook')} [role=alert]:has-text('Compare: ')")


def test_the_page_keeps_up_by_itself_and_keeps_its_elements(
    page: Any, served: Keyed, admin: httpx.Client, docs: Path
) -> None:
    admin.post("/v1/sources", json=folder_of(docs, "handbook")).raise_for_status()
    open_page(page, served)
    page.wait_for_selector(card("handbook"))
    page.evaluate("document.querySelector('.origin').dataset.mine = 'yes'")
    page.focus(f"{card('handbook')} button:has-text('Compare')")

    admin.post("/v1/sources", json=folder_of(docs, "another")).raise_for_status()
    sync(admin, "handbook")

    page.wait_for_selector(card("another"))
    page.wait_for_selector(f"{card('handbook')}[data-mine=yes] .health[data-health=ok]")
    assert page.locator(".origin h2").all_inner_texts() == ["another", "handbook"]
    assert page.evaluate("document.activeElement.textContent") == "Compare"
    admin.delete("/v1/sources/another")
    page.wait_for_selector(card("another"), state="detached")


def test_work_under_way_is_shown_and_stopped(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    for number in range(1500):
        (docs / f"{number}.md").write_text(f"# Buoy {number}\n\nBuoy {number} blinks every {number} seconds.\n")
    admin.post("/v1/sources", json=folder_of(docs, "handbook")).raise_for_status()
    open_page(page, served)
    page.wait_for_selector(card("handbook"))

    page.click(f"{card('handbook')} button:has-text('Sync now')")
    page.wait_for_selector(f"{card('handbook')} progress", state="visible")
    page.click(f"{card('handbook')} button:has-text('Stop')")

    page.wait_for_selector(f"{card('handbook')} progress", state="hidden")
    [job] = admin.get("/v1/jobs", params={"source": "handbook", "limit": 1}).json()["jobs"]
    assert job["state"] == "cancelled"


@pytest.mark.parametrize("page", [PHONE], ids=["phone"], indirect=True)
def test_a_narrow_screen_shows_everything(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    long = "runbooks-of-the-platform-team-in-the-northern-office"
    admin.post("/v1/sources", json=folder_of(docs, long)).raise_for_status()
    open_page(page, served)
    page.wait_for_selector(card(long))

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for button in page.locator(f"{card(long)} button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_a_key_that_may_not_see_sources_is_told_so(page: Any, served: Keyed, admin: httpx.Client) -> None:
    open_page(page, served, "reader")

    page.wait_for_selector(".problem:has-text('ingest')")
    assert page.locator(".origin").count() == 0


def test_names_and_errors_never_become_markup(page: Any, served: Keyed, admin: httpx.Client, docs: Path) -> None:
    odd = docs / "<img src=x onerror=window.hacked=1>"
    odd.mkdir()
    (odd / "<b>bold<b>.pdf").write_bytes(b"%PDF-1.7 nothing")
    admin.post("/v1/sources", json=folder_of(odd, "handbook")).raise_for_status()
    sync(admin, "handbook")
    open_page(page, served)

    page.wait_for_selector("#failed li")
    assert "<img" in page.inner_text(f"{card('handbook')} .place")
    assert page.locator("#main img, #main b").count() == 0
    assert page.evaluate("window.hacked") is None


def test_the_other_page_leads_here_and_back(page: Any, served: Keyed, admin: httpx.Client) -> None:
    page.goto(served.url)
    page.click("nav a:has-text('Sources')")
    page.wait_for_url("**/sources")
    page.click("nav a:has-text('Search')")
    page.wait_for_selector("#composer")
