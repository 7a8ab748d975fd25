"""The web page in a real browser, over a real server that ingested real documents."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingestion.corpus.database import open_database
from service.access.door import REMEMBERED_S
from service.access.keys import Keys, NewKey
from tests.acceptance.ui_parts import (
    CHROMIUM,
    EMOJI_QUESTION,
    SAMPLES,
    SWAP,
    Site,
    Tab,
    running_model,
    running_site,
    watched_tab,
)
from tests.conftest import chromium_program

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

pytestmark = pytest.mark.browser

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path) -> Iterator[Site]:
    """The server that every test here looks at."""
    with running_site(tmp_path_factory.mktemp("site"), models_dir, sample_docs) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for the module. It ends with the module: its event loop would be in the way of other tests."""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_program(), args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(params=[{"width": 1280, "height": 800}], ids=["desktop"])
def tab(site: Site, browser: Any, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """A fresh browser profile. Afterwards: nothing was refused by the policy, and the console stayed silent."""
    with watched_tab(browser, site, request.param, WAIT_MS) as tab:
        yield tab


def _answer(site: Site, question: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{site.url}/v1/answers", json={"question": question}, timeout=60).json()
    return answer


def test_a_question_is_answered_and_each_citation_opens_its_passage(tab: Tab) -> None:
    expected = _answer(tab.site, SWAP)
    quotes = {citation["n"]: citation["quote"] for citation in expected["citations"]}
    page = tab.open()

    page.fill("#q", SWAP)
    page.press("#q", "Enter")
    page.wait_for_selector(".answer-foot")

    assert page.locator(".claim").count() == len(expected["sentences"]) >= 2
    assert len(page.evaluate("window.streamed")) == len(expected["sentences"])
    assert "Quoted from the sources" in page.inner_text(".badge")
    assert page.locator(".source").count() == len(quotes)
    for chip in page.locator(".cite").all():
        chip.click()
        assert tab.marked() == quotes[int(chip.inner_text())]
    assert "view=ask" in page.url


def test_sentences_of_a_model_appear_as_they_come_and_what_is_not_supported_stands_out(
    tab: Tab, tmp_path: Path, models_dir: Path, sample_docs: Path
) -> None:
    unmended = {"PLUMBLINE_ANSWERS__REPAIR": "false"}
    with (
        running_model() as (model, llm_url),
        running_site(tmp_path, models_dir, sample_docs, llm_url, unmended) as site,
    ):
        page = Tab(tab.page, site, tab.errors).open(f"/?q={SWAP}&view=ask")
        page.wait_for_selector(".claim")
        assert page.locator(".claims[aria-busy=true] .claim").count() == 1
        model.go_on.set()
        page.wait_for_selector(".answer-foot")

        supports = page.eval_on_selector_all(".claim", "claims => claims.map(claim => claim.dataset.support)")
        assert supports == ["supported", "unsupported"]
        assert "4711" in page.inner_text(".claim[data-support=unsupported] .verdict")
        assert "1 of 2 sentences" in page.inner_text(".grounding")
        assert page.locator(".badge").count() == 0


def test_commands_keep_every_character_and_can_be_copied(tab: Tab) -> None:
    page = tab.open(f"/?q={SWAP}&view=ask")
    page.wait_for_selector(".answer-foot")

    command = "tw bellman swap --team money --from 2026-05-06 --days 2 --to secondary"
    assert page.locator(".claim pre").first.inner_text() == command
    tab.page.click(".claim .copy")
    page.wait_for_selector(".copy:has-text('Copied')")


def test_the_keyboard_is_enough(tab: Tab) -> None:
    page = tab.open()

    page.keyboard.type(SWAP)
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer-foot")
    page.focus(".cite >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#reader mark")
    assert tab.focused() == "reader-title"
    page.keyboard.press("Escape")

    assert page.locator("#reader").is_hidden()
    assert tab.focused() == "cite"
    page.keyboard.press("/")
    assert tab.focused() == "q"


def test_a_misspelt_word_says_what_was_searched_for_as_well(tab: Tab) -> None:
    tab.open()
    tab.ask("gatehouse rolling restrat", view="search")

    assert tab.page.inner_text(".corrections") == "Also searched for restart for restrat."


def test_search_results_open_where_they_stand(tab: Tab) -> None:
    query = {"query": "gateway 502 rolling restart", "limit": 20}
    hits = httpx.post(f"{tab.site.url}/v1/search", json=query, timeout=60).json()["hits"]
    texts = {hit["text"] for hit in hits}
    page = tab.open()
    tab.ask(query["query"], view="search")

    assert page.locator(".passage").count() == len(hits)
    assert page.locator(".snippet mark").count() > 0
    assert page.inner_text(".relevance strong") == "Good matches"
    page.click(".hit-open >> nth=0")
    assert tab.marked() == hits[0]["text"]
    page.click(".passage >> nth=1 >> button")
    assert tab.marked() in texts


def test_spans_count_characters_though_the_browser_counts_units(tab: Tab) -> None:
    [*_, citation] = [c for c in _answer(tab.site, EMOJI_QUESTION)["citations"] if "Waldemar" in c["quote"]]
    page = tab.open()

    tab.ask(EMOJI_QUESTION)
    page.click(f".cite[data-n='{citation['n']}'] >> nth=0")

    assert tab.marked() == citation["quote"]
    assert "Waldemar" in tab.marked()


@pytest.mark.parametrize("name", [*SAMPLES, "dogs"])
def test_a_document_is_shown_to_the_character(tab: Tab, name: str) -> None:
    text = httpx.get(f"{tab.site.url}/v1/documents/{name}/content", timeout=60).json()["text"]
    page = tab.open()
    module = page.get_attribute("script[type=module]", "src").replace("app.js", "reader.js")
    page.evaluate(
        "async ([module, id]) => { const { Reader } = await import(module);"
        " await new Reader(document.getElementById('reader')).open({ id, title: id }, [], null); }",
        [module, name],
    )

    assert page.evaluate("document.querySelector('.reader-body').textContent") == text


def test_text_of_documents_never_becomes_markup(tab: Tab) -> None:
    page = tab.open()

    tab.ask("zanzibar checklist", view="search")
    page.click(".hit-open >> nth=0")

    assert "count the crates" in tab.marked()
    assert page.inner_text("#reader-title") == "Zanzibar <b>checklist</b>"
    assert page.locator("#reader img, #reader script, #reader b, #reader i, #results img, #results b").count() == 0
    assert page.evaluate("window.hacked") is None


def test_headings_lead_through_the_document(tab: Tab) -> None:
    page = tab.open("/?q=gateway 502 rolling restart&view=search")
    page.click(".hit-open >> nth=0")

    page.click(".outline summary")
    page.click(".outline button:has-text('Upstream check')")

    page.wait_for_selector(".block.heading:focus:has-text('Upstream check')")
    heading, body = page.locator(".block.heading:focus").bounding_box(), page.locator(".reader-body").bounding_box()
    assert body["y"] <= heading["y"] <= body["y"] + body["height"]


def test_nothing_relevant_is_said_and_the_nearest_documents_offered(tab: Tab) -> None:
    page = tab.open()

    for view in ("ask", "search"):
        tab.ask("what tyre pressure suits an electric tandem bicycle?", view=view)
        assert page.locator(".refusal h2").inner_text()
        page.wait_for_selector(".nearest-item")
        page.click(".nearest-item >> nth=0")
        assert tab.marked()
        page.keyboard.press("Escape")


def test_the_address_holds_the_question(tab: Tab) -> None:
    page = tab.open(f"/?q={SWAP}&view=ask")
    page.wait_for_selector(".answer-foot")
    assert page.input_value("#q") == SWAP
    tab.ask("refund", view="search")
    page.wait_for_selector(".hits")

    page.go_back()

    page.wait_for_selector(".answer-foot")
    assert page.input_value("#q") == SWAP
    page.click("#brand")
    page.wait_for_selector(".example")
    assert page.url == f"{tab.site.url}/"


def test_examples_are_answered(tab: Tab) -> None:
    page = tab.open()
    page.wait_for_selector(".example")
    count = page.locator(".example").count()
    assert count >= 2

    for index in range(count):
        page.click("#brand")
        page.click(f".example >> nth={index}")
        page.wait_for_selector(".answer-foot, .refusal")
        assert page.locator(".refusal").count() == 0


def test_a_problem_shows_what_is_wrong_and_the_id_of_the_request(tab: Tab) -> None:
    page = tab.open()

    tab.ask("x" * 9000, view="search")

    assert "not valid" in page.inner_text(".problem h3")
    assert re.fullmatch(r"Request [\w-]{8,}", page.inner_text(".problem .fine"))
    tab.errors.clear()  # the browser reports the 422


def test_files_are_added_and_a_bad_one_says_why(tab: Tab) -> None:
    page = tab.open()
    page.click("#open-upload")
    page.set_input_files(
        "#files",
        [
            {"name": "yak.md", "mimeType": "text/markdown", "buffer": b"# Yak shed\n\nThe yak shed opens at nine.\n"},
            {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""},
        ],
    )
    page.wait_for_selector("#upload-status .done")

    assert page.inner_text("#upload-status .done") == "1 document can be searched now."
    assert "empty.txt" in page.inner_text(".failures")
    tab.ask("when does the yak shed open", view="search")
    assert "yak shed opens" in page.inner_text(".snippet >> nth=0")


def _wait_until_shut(url: str) -> None:
    """The service remembers for a second whom it let in without a key."""
    deadline = time.monotonic() + 10 * REMEMBERED_S
    while httpx.get(f"{url}/v1/documents").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_is_asked_for_and_kept_in_the_tab_only(tab: Tab) -> None:
    engine = open_database(tab.site.settings)
    try:
        keys = Keys(engine)
        key, token = keys.create(NewKey("browser"))
        try:
            _wait_until_shut(tab.site.url)
            page = tab.open("/?q=gateway&view=search")
            page.wait_for_selector("#key-form", state="visible")
            page.fill("#key", "pl_wrong")
            page.press("#key", "Enter")
            page.wait_for_selector("#key-note:has-text('not accepted')")
            page.fill("#key", token)
            page.press("#key", "Enter")
            page.wait_for_selector(".hits")
            assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
        finally:
            keys.revoke(key.id)
    finally:
        engine.dispose()
    tab.errors.clear()  # the browser reports each 401


@pytest.mark.parametrize("tab", [{"width": 390, "height": 844}], ids=["phone"], indirect=True)
def test_on_a_phone_the_document_covers_the_page(tab: Tab) -> None:
    page = tab.open(f"/?q={SWAP}&view=ask")
    page.wait_for_selector(".answer-foot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.click(".cite >> nth=0")

    assert tab.marked()
    assert page.locator("#reader").bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    assert page.evaluate("document.getElementById('main').inert")
    page.click("#reader-close")
    assert not page.evaluate("document.getElementById('main').inert")


def test_events_are_read_whatever_way_they_are_cut(tab: Tab) -> None:
    stream = ': hello\n\nevent: sentence\r\ndata: {"text": "\U0001f69a two\ndata: lines"}\r\n\r\n'
    stream += "data:bare\n\nevent: lost\ndata: cut"
    expected = [
        {"event": "sentence", "data": '{"text": "\U0001f69a two\nlines"}'},
        {"event": "message", "data": "bare"},
    ]
    page = tab.open()
    module = page.get_attribute("script[type=module]", "src").replace("app.js", "sse.js")
    read = """async ([module, bytes, size]) => {
      const { readEvents } = await import(module);
      const pieces = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(new Uint8Array(bytes.slice(at, at + size)));
      const stream = new ReadableStream({ start(to) { pieces.forEach((piece) => to.enqueue(piece)); to.close(); } });
      const found = [];
      for await (const event of readEvents(stream)) found.push(event);
      return found;
    }"""
    for size in (1, 2, 3, 7, 1000):
        assert page.evaluate(read, [module, list(stream.encode()), size]) == expected


def test_an_event_is_handed_on_as_soon_as_it_is_whole(tab: Tab) -> None:
    page = tab.open()
    module = page.get_attribute("script[type=module]", "src").replace("app.js", "sse.js")
    read = """async (module) => {
      const { readEvents } = await import(module);
      const bytes = (text) => new TextEncoder().encode(text);
      let more;
      const stream = new ReadableStream({ start(to) { more = to; to.enqueue(bytes("data: one\\n\\nda")); } });
      const found = [];
      for await (const event of readEvents(stream)) {
        found.push(event.data);
        if (found.length === 1) { more.enqueue(bytes("ta: two\\n\\n")); more.close(); }
      }
      return found;
    }"""

    assert page.evaluate(read, module) == ["one", "two"]


def test_a_result_says_why_and_can_be_narrowed(tab: Tab) -> None:
    page = tab.open()
    tab.ask("gateway 502 rolling restart", view="search")
    assert page.locator(".why").count() == 0

    page.click("text=Why these?")
    page.wait_for_selector(".why")
    assert "rank 1" in page.inner_text(".why >> nth=0")

    facets = page.locator(".facet")
    if facets.count():
        name = facets.first.evaluate("node => node.firstChild.textContent")
        facets.first.click()
        page.wait_for_selector(f".facet[aria-pressed=true]:has-text('{name}')")
        assert page.locator(".hit").count() > 0
