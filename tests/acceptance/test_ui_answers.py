"""Answers on the web page, written by a scripted model: verdicts in words, what is left out, refusals, follow-ups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.ui_parts import CHROMIUM, SWAP, Site, Tab, running_site, watched_tab
from tests.chat_endpoint import Endpoint, Replying, failing, running_endpoint, saying
from tests.conftest import chromium_program

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

pytestmark = pytest.mark.browser

TRUE = "Swap with anybody in your team who has done at least two shifts [1]. "
FALSE = "Every swap costs 4711 euros [1]."
SWAPS = saying(TRUE, FALSE)
FOLLOW_UP = "and until when is that possible?"
VARIABLES = {
    "PLUMBLINE_LLM__MODEL": "scripted-7b",
    "PLUMBLINE_LLM__MAX_RETRIES": "0",
    "PLUMBLINE_ANSWERS__REPAIR": "false",
    "PLUMBLINE_ANSWERS__CACHE": "off",
}


@dataclass(frozen=True)
class Stage:
    """A service and the model that it asks."""

    site: Site
    model: Endpoint

    def says(self, *replies: Replying) -> None:
        self.model.bodies.clear()
        self.model.replies[:] = replies


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with (
        running_endpoint() as model,
        running_site(folder, models_dir, sample_docs, model.url, VARIABLES) as site,
    ):
        yield Stage(site, model)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_program(), args=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(stage: Stage, browser: Any) -> Iterator[Tab]:
    """A fresh profile; afterwards nothing was refused by the policy, and the console stayed silent."""
    stage.says(SWAPS)
    with watched_tab(browser, stage.site, {"width": 1100, "height": 850}, 60_000) as tab:
        yield tab


def _asked(tab: Tab, question: str) -> dict[str, Any]:
    """What the page sent for this question."""
    with tab.page.expect_request("**/v1/answers") as sent:
        tab.ask(question)
    body: dict[str, Any] = sent.value.post_data_json
    return body


def test_a_verdict_says_why_and_the_end_says_who_wrote_it(tab: Tab) -> None:
    page = tab.open()
    tab.ask(SWAP)

    assert page.inner_text(".claim[data-support=unsupported] .verdict") == (
        "Not in the cited text: a number is not there (4711 eur)"
    )
    assert page.locator(".claim[data-support=supported] .verdict .sr-only").count() == 1
    foot = page.inner_text(".answer-foot .fine")
    assert "scripted-7b (fast)" in foot
    assert "15 tokens" in foot
    assert page.locator(".withheld").count() == 0


def test_what_is_left_out_is_counted(tab: Tab) -> None:
    page = tab.open()
    page.focus("#options summary")
    page.keyboard.press("Enter")
    page.select_option("#unsupported", "withhold")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('options').open")

    body = _asked(tab, SWAP)

    assert body["unsupported"] == "withhold"
    assert page.locator(".claim").count() == 1
    assert page.inner_text(".withheld") == "1 sentence was left out because the sources do not support it."
    assert "4711" not in page.inner_text("#results")
    page.reload()
    page.wait_for_selector(".withheld")
    assert page.input_value("#unsupported") == "withhold"


def test_another_policy_asks_again(tab: Tab) -> None:
    page = tab.open(f"/?q={SWAP}&view=ask&unsupported=nonsense")
    page.wait_for_selector(".answer-foot")
    assert page.input_value("#unsupported") == ""
    page.click("#options summary")

    page.select_option("#unsupported", "strict")

    page.wait_for_selector(".refusal")
    assert "not" in page.inner_text(".refusal p")
    page.wait_for_selector(".nearest-item")
    page.click(".refusal h2")  # anything else
    assert not page.evaluate("document.getElementById('options').open")


def test_a_follow_up_brings_the_turns_before_it(tab: Tab, stage: Stage) -> None:
    page = tab.open()
    assert "history" not in _asked(tab, SWAP)
    assert page.inner_text("#conversation-about") == "Your next question may refer to this answer."
    stage.says(failing(500))

    body = _asked(tab, FOLLOW_UP)

    assert [turn["role"] for turn in body["history"]] == ["user", "assistant"]
    assert body["history"][0]["content"] == SWAP
    assert "at least two shifts" in body["history"][1]["content"]
    assert SWAP in page.inner_text("#conversation-about")
    assert page.inner_text(".understood").startswith("Understood as")
    assert SWAP in page.inner_text(".understood")


def test_a_conversation_stays_with_the_address_and_ends_when_asked(tab: Tab) -> None:
    page = tab.open()
    tab.ask(SWAP)
    tab.ask(FOLLOW_UP)
    with page.expect_request("**/v1/answers") as again:
        page.reload()
    assert len(again.value.post_data_json["history"]) == 2
    page.wait_for_selector(".answer-foot, .refusal")

    page.focus("#new-conversation")
    page.keyboard.press("Enter")

    assert tab.focused() == "q"
    assert page.locator("#conversation").is_hidden()
    assert "history" not in _asked(tab, SWAP)
    page.go_back()
    with page.expect_request("**/v1/answers") as before:
        page.go_back()
    assert len(before.value.post_data_json["history"]) == 2
    page.wait_for_selector(".answer-foot, .refusal")


def test_the_same_question_again_is_no_follow_up(tab: Tab) -> None:
    tab.open()
    tab.ask(SWAP)

    assert "history" not in _asked(tab, SWAP)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (failing(500), "the language model failed"),
        (failing(401), "the language model refused the request"),
        (saying(""), "the language model answered nothing"),
    ],
)
def test_a_model_that_fails_is_named(tab: Tab, stage: Stage, reply: Replying, why: str) -> None:
    stage.says(reply)
    page = tab.open()
    tab.ask(SWAP)

    assert page.inner_text(".badge") == f"Quoted from the sources because {why}."
    assert page.locator(".claim").count() >= 1
    assert "scripted-7b" not in page.inner_text(".answer-foot .fine")


def test_a_refusal_names_the_nearest_documents(tab: Tab, stage: Stage) -> None:
    page = tab.open()
    tab.ask("what tyre pressure suits an electric tandem bicycle?")

    page.wait_for_selector(".nearest-item")
    assert stage.model.bodies == []
    page.focus(".nearest-item >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#reader-title:focus")


WORDS = """async ([module, checks]) => (await import(module)).reasonsOf(checks)"""


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        (["facts:missing", "numbers:missing 7776000 s", "overlap:0.90"], ["a number is not there (90 days)"]),
        (["numbers:missing 5 s", "conflict:6 s not 5 s"], ["the text says otherwise (6 s not 5 s)"]),
        (["negation:listed as what not to do"], ["the text lists it as what not to do"]),
        (["source:superseded", "overlap:1.00"], ["only documents that were replaced say it"]),
        (["gadgets:missing x"], ["one of its gadgets is not there (x)"]),
        (["facts:ok", "overlap:0.41"], ["41% of its words are there"]),
    ],
)
def test_checks_are_told_in_words(tab: Tab, checks: list[str], words: list[str]) -> None:
    page = tab.open()
    module = page.get_attribute("script[type=module]", "src").replace("app.js", "words.js")

    assert page.evaluate(WORDS, [module, checks]) == words


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_a_phone(stage: Stage, browser: Any, scheme: str) -> None:
    stage.says(SWAPS)
    with closing(browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)) as context:
        context.set_default_timeout(60_000)
        tab = Tab(context.new_page(), stage.site, [])
        page = tab.open()
        page.select_option("#unsupported", "withhold", force=True)
        tab.ask(SWAP)
        page.click("#options summary")

        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.locator("#unsupported").is_visible()
