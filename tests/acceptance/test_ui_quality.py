"""The page of quality in a real browser: its numbers are those that the service tells, and its traces open."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from ingestion.corpus.database import open_database
from service.access.door import REMEMBERED_S
from service.access.keys import Keys, NewKey
from service.access.principals import Permission
from tests.acceptance.ui_parts import CHROMIUM, SWAP, Site, Tab, running_site, watched_tab
from tests.conftest import chromium_program
from tests.service.ledger_parts import answer, call, keep, search
from tests.service.source_parts import until

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

pytestmark = pytest.mark.browser

WAIT_MS = 60_000
OFF_TOPIC = "Which mountain on Mars is the highest?"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 320, "height": 740}
TABLE = "table => [...table.rows].map(row => [...row.cells].map(cell => cell.textContent))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path) -> Iterator[Site]:
    """A server that was asked some questions within the last hour, and whose ledger knows of some days before."""
    with running_site(tmp_path_factory.mktemp("quality"), models_dir, sample_docs) as site:
        engine = open_database(site.settings)
        try:
            _remember(engine)
        finally:
            engine.dispose()
        _ask(site.url)
        yield site


def _remember(engine: Engine) -> None:
    """Days before: a model wrote, and not all of it was in its sources."""
    day = datetime.now(UTC) - timedelta(days=3)
    ours = {"tenant": "default", "collection": "archive"}
    bad = answer(
        day, query="How long are parcels kept?", grounding="ungrounded", grounding_score=0.1, unsupported=2, **ours
    )
    fine = [answer(day + timedelta(hours=n), query=f"Parcel {n}?", **ours) for n in range(6)]
    weak = [search(day, query="parcels", relevance="weak", **ours) for _ in range(3)]
    calls = [call(day + timedelta(hours=n), tenant="default", answer_id=one.id) for n, one in enumerate(fine)]
    keep(engine, [bad, *fine, *weak], calls)


def _ask(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        answered = client.post("/v1/answers", json={"question": SWAP}).json()
        client.post("/v1/answers", json={"question": OFF_TOPIC})
        client.post("/v1/search", json={"query": "gateway 502"})
        client.post("/v1/context", json={"text": "the gateway answers 502", "budget_tokens": 500})
        rating = {"answer_id": answered["answer_id"], "kind": "rating", "rating": "down", "text": "it is out of date"}
        client.post("/v1/feedback", json=rating).raise_for_status()
        until(
            lambda: client.get("/v1/quality", params={"window": "1h"}).raise_for_status().json(),
            lambda told: told["queries"]["now"] == 4,
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_program(), args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(params=[DESKTOP], ids=["desktop"])
def tab(site: Site, browser: Any, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """Afterwards: nothing was refused by the policy, the console stayed silent, and no other host was asked."""
    asked: list[str] = []
    with watched_tab(browser, site, request.param, WAIT_MS) as tab:
        tab.page.on("request", lambda told: asked.append(told.url))
        yield tab
        assert [url for url in asked if not url.startswith((site.url, "data:", "blob:"))] == []


def _look(tab: Tab, **parameters: str) -> Any:
    """The page with its numbers."""
    page = tab.open(f"/quality?{httpx.QueryParams(parameters)}")
    page.wait_for_selector("#numbers", state="visible")
    page.wait_for_function("document.querySelectorAll('.tile').length && !document.body.matches('.changing')")
    return page


def _told(site: Site, path: str = "/v1/quality", **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(site.url + path, params=parameters, timeout=60).raise_for_status().json()
    return found


def _tile(page: Any, name: str) -> str:
    value: str = page.inner_text(f"[data-tile={name}] .tile-value")
    return value


def _percent(share: float) -> float:
    return share * 100


def test_the_tiles_and_charts_say_what_the_service_says(tab: Tab) -> None:
    told, over_time = _told(tab.site, window="1h"), _told(tab.site, "/v1/quality/series", window="1h", buckets=30)
    page = _look(tab, window="1h")

    assert _tile(page, "queries") == str(told["queries"]["now"])
    assert float(_tile(page, "refused").rstrip("%")) == pytest.approx(_percent(told["refusal_rate"]["now"]), abs=0.5)
    assert float(_tile(page, "grounded").rstrip("%")) == pytest.approx(_percent(told["grounded_rate"]["now"]), abs=0.5)
    assert _tile(page, "ratings") == "0% of 1"
    assert "4 queries in the last hour, 2 answers among them" in page.inner_text("#summary")
    assert page.is_checked("input[value='1h']")

    page.click("[data-chart=queries] summary")
    heads, whole, *buckets = page.eval_on_selector("[data-chart=queries] table", TABLE)
    assert heads == ["Time", "Searches", "Context packs", "Answers"]
    assert whole[1:] == ["1", "1", "2"]
    assert len(buckets) == len(over_time["points"])
    assert sum(int(row[3]) for row in buckets) == 2
    assert page.text_content("[data-chart=relevance] svg title") == "Relevance"
    assert page.locator("[data-chart=relevance] svg[role=img] rect.tone-bad").count() >= 1, "the question off topic"


def test_a_chart_is_read_by_the_keyboard(tab: Tab) -> None:
    page = _look(tab, window="7d")

    page.focus("[data-chart=queries] .plot")
    page.keyboard.press("End")

    assert "Answers 2" in page.inner_text("[data-chart=queries] [aria-live]")
    assert page.locator("[data-chart=queries] .cursor[visibility=visible]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("[data-chart=queries] .cursor[visibility=visible]").count() == 0


def test_the_window_and_the_collection_are_chosen_and_kept_in_the_address(tab: Tab) -> None:
    page = _look(tab)

    page.click(".windows label:has-text('7 days')")
    page.wait_for_selector("#summary:has-text('7 days')")
    assert "window=7d" in page.url
    told = _told(tab.site, window="7d")
    assert _tile(page, "queries") == str(told["queries"]["now"]) == "14"
    assert page.inner_text("[data-panel=worst] .row-title >> nth=0") == "How long are parcels kept?"
    models = page.eval_on_selector("#models table", TABLE)
    assert any(row[0].startswith("m") and "answer@3" in row[0] for row in models)
    assert page.locator("[data-chart=tokens] svg rect.tone-0").count() >= 1

    page.goto(f"{tab.site.url}/quality?window=7d&collection=archive")
    page.wait_for_selector("#summary:has-text('10 queries')")
    page.go_back()
    page.wait_for_selector("#summary:has-text('14 queries')")
    page.goto(f"{tab.site.url}/quality?window=1h&collection=archive")
    page.wait_for_selector("#empty-title:has-text('Nothing was asked in archive')")


def test_a_trace_opens_with_its_sentences_scores_and_document(tab: Tab) -> None:
    page = _look(tab, window="1h")
    page.wait_for_selector(f"[data-panel=gaps] .row-title:has-text('{OFF_TOPIC}')")
    page.wait_for_selector("[data-panel=feedback]:has-text('it is out of date')")

    page.click(f"[data-panel=latest] a:has-text('{SWAP}')")
    page.wait_for_selector("#trace-title")

    assert page.inner_text("#trace-title") == SWAP
    id_ = httpx.URL(page.url).params["trace"]
    told = _told(tab.site, f"/v1/traces/{id_}")
    sentences = told["body"]["sentences"]
    assert page.locator("#trace .claim").count() == len(sentences) >= 1
    assert page.inner_text("#trace .claim >> nth=0 >> .verdict").startswith("Supported by its source")
    rows = page.eval_on_selector("[data-part=candidates] table", TABLE)[1:]
    assert len(rows) == len(told["body"]["candidates"])
    assert f"{told['body']['candidates'][0]['dense']:.3f}" in rows[0]
    assert "cited as 1" in "".join(row[1] for row in rows)
    assert "it is out of date" in page.inner_text("[data-part=feedback]")
    assert page.locator("[data-part=timings] rect.stage").count() >= 2

    page.click("[data-part=citations] .source >> nth=0")
    assert tab.marked() == told["body"]["citations"][0]["quote"]
    page.keyboard.press("Escape")
    assert tab.focused() == "source"
    page.click(".back")
    page.wait_for_selector("#numbers", state="visible")
    assert httpx.URL(page.url).params == httpx.QueryParams(window="1h")


def test_a_trace_is_found_by_its_id_and_a_wrong_id_says_so(tab: Tab) -> None:
    [refused] = _told(tab.site, "/v1/traces", operation="answer", outcome="refused")["traces"]
    page = _look(tab)

    page.fill("#trace-id", refused["query_id"])
    page.press("#trace-id", "Enter")
    page.wait_for_selector("#trace .refusal")
    assert page.inner_text("#trace-title") == OFF_TOPIC
    page.goto(f"{tab.site.url}/quality?trace={uuid.uuid4()}")
    page.wait_for_selector(".problem:has-text('There is no such trace')")
    tab.errors.clear()  # the browser reports the 404


def test_a_part_that_is_not_there_or_fails_leaves_the_others(tab: Tab) -> None:
    told = {"title": "Broken", "detail": "it broke", "code": "internal_error", "status": 500}
    tab.page.route("**/v1/quality/gaps?*", lambda route: route.fulfill(status=404, json={"title": "Not found"}))
    tab.page.route("**/v1/feedback?*", lambda route: route.fulfill(status=500, json=told))
    page = _look(tab)

    page.wait_for_selector("[data-panel=gaps] .nothing:has-text('Not available')")
    page.wait_for_selector("[data-panel=feedback] .problem:has-text('it broke')")
    page.wait_for_selector("[data-panel=latest] .rows")
    page.unroute("**/v1/feedback?*")
    page.click("[data-panel=feedback] button:has-text('Try again')")
    page.wait_for_selector("[data-panel=feedback]:has-text('it is out of date')")
    tab.errors.clear()  # the browser reports both


def test_it_asks_again_by_itself_until_it_is_paused(tab: Tab) -> None:
    page = tab.page
    page.clock.install()
    _look(tab, window="1h")
    with page.expect_response("**/v1/quality?*"):
        page.clock.run_for(15_000)
    page.wait_for_function("!document.body.matches('.changing')")

    page.click("#pause")
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    asked: list[str] = []
    page.on("request", lambda told: asked.append(told.url))
    page.clock.run_for(60_000)
    assert asked == []
    with page.expect_response("**/v1/quality?*"):
        page.click("#pause")


@pytest.mark.parametrize("tab", [PHONE], ids=["phone"], indirect=True)
def test_a_narrow_screen_shows_everything(tab: Tab) -> None:
    page = _look(tab, window="7d")
    page.wait_for_selector("[data-panel=worst] .rows")

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.click("[data-panel=latest] .row-title >> nth=0")
    page.wait_for_selector("#trace-title")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_key_is_asked_for_and_must_have_the_scope(tab: Tab) -> None:
    engine = open_database(tab.site.settings)
    keys = Keys(engine)
    reader, reading = keys.create(NewKey("reader"))
    admin, administering = keys.create(NewKey("admin", permissions=frozenset({Permission.ADMIN})))
    try:
        _wait_until_shut(tab.site.url)
        page = tab.open("/quality?window=7d")
        page.wait_for_selector("#key-form", state="visible")
        page.fill("#key", reading)
        page.press("#key", "Enter")
        page.wait_for_selector(".problem:has-text('scope admin')")
        page.evaluate("sessionStorage.clear()")
        page.reload()
        page.wait_for_selector("#key-form", state="visible")
        page.fill("#key", administering)
        page.press("#key", "Enter")
        page.wait_for_selector("#numbers", state="visible")
        assert _tile(page, "queries") == "14"
    finally:
        for key in (reader, admin):
            keys.revoke(key.id)
        engine.dispose()
        _wait_until(tab.site.url, 200)
    tab.errors.clear()  # the browser reports each 401 and 403


def _wait_until_shut(url: str) -> None:
    _wait_until(url, 401)


def _wait_until(url: str, status: int) -> None:
    """The service remembers for a second whom it let in."""
    deadline = time.monotonic() + 10 * REMEMBERED_S
    while httpx.get(f"{url}/v1/documents").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


PURE = """async (path) => {
  const charts = await import(path);
  const about = { width: 300, height: 160, moments: ["a", "b", "c"], since: 0, until: 3600e3, format: String };
  Object.assign(about, { title: "T", about: "A" });
  const series = [{ name: "x", values: [1, 0, 3] }, { name: "y", values: [1, null, 1] }];
  const tall = (root) => [...root.querySelectorAll(".plotted rect")].map((rect) => Number(rect.getAttribute("height")));
  const line = charts.lines({ ...about, series: [{ name: "x", values: [1, null, 3] }] });
  const column = charts.columns({ ...about, series });
  const empty = charts.lines({ ...about, log: true, series: [{ name: "x", values: [null, 0, null] }] });
  const times = charts.roundTimes(Date.UTC(2026, 0, 1, 0, 7), Date.UTC(2026, 0, 1, 6, 7), 6);
  return {
    ticks: [charts.ticks(0), charts.ticks(1), charts.ticks(7), charts.ticks(0.03), charts.ticks(1, { whole: true })],
    powers: charts.powers(12, 4000),
    times: times.map((time) => new Date(time).getUTCMinutes()),
    columns: tall(column.root),
    shares: tall(charts.columns({ ...about, series, share: true }).root),
    marks: line.root.querySelectorAll(".mark").length,
    paths: line.root.querySelectorAll("path.line").length,
    buckets: [column.bucketAt(-5), column.bucketAt(150), column.bucketAt(999)],
    named: column.root.querySelector("title").textContent + column.root.querySelector("desc").textContent,
    nothing: empty.root.querySelectorAll(".mark").length,
    inline: column.root.outerHTML.includes("style="),
  };
}"""


def test_charts_are_drawn_from_numbers_alone(tab: Tab) -> None:
    page = tab.open("/quality")
    script = page.get_attribute("script[type=module]", "src").replace("quality.js", "charts.js")

    drawn = page.evaluate(PURE, script)

    assert drawn["ticks"] == [[0, 1], [0, 0.5, 1], [0, 2.5, 5, 7.5], [0, 0.01, 0.02, 0.03], [0, 1]]
    assert drawn["powers"] == [10, 100, 1000, 10000]
    assert drawn["times"] == [0] * 6
    room = 160 - 8 - 22
    assert drawn["columns"] == pytest.approx([part / 4 * room for part in (1, 1, 3, 1)])
    assert drawn["shares"] == pytest.approx([part * room for part in (0.5, 0.5, 0.75, 0.25)])
    assert (drawn["marks"], drawn["paths"]) == (2, 0), "where a number is missing, the line has a gap"
    assert drawn["buckets"] == [0, 1, 2]
    assert drawn["named"] == "TA"
    assert drawn["nothing"] == 0
    assert drawn["inline"] is False
