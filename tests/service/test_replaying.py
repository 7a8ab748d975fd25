"""An answer once more over the same passages: what differs is shown, and nothing is traced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError, InvalidRequest, NotFound
from service.access.principals import DEFAULT_TENANT
from service.cli import app
from service.generation.answers import Tier
from service.generation.prompts import load_prompt
from service.ledger.tables import traces
from service.quality.replaying import Fate, Loss, Replay, ReplayWish, ToldSentence, changes, replay
from service.runtime import open_reading, open_runtime
from service.settings import AnswerSettings, Content, LedgerSettings, LLMSettings, ReleaseSettings, ServiceSettings
from tests.chat_endpoint import Endpoint, Reply, running_endpoint, saying
from tests.service.http_parts import RUNBOOK, settings_for
from tests.service.test_runtime import QUESTION, call, ingest

SCOPE = Scope(DEFAULT_TENANT)
KEPT = "When the gateway answers 502, drain the host and restart the deployment [1]."
GONE = "Error code GH-5021 means that no upstream is healthy [1]."
NEW = "Run `kubectl -n edge rollout restart deployment/gatehouse` [1]."
OTHER = "# Gateway hosts\n\nTo restart the gateway of a host, ask the platform team to drain the host first.\n"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Another prompt, another second sentence."""
    other = load_prompt("answer@1").render("?", []).messages[0].content

    def reply(body: dict[str, Any]) -> Reply:
        return saying(KEPT, " ", NEW if body["messages"][0]["content"] == other else GONE)

    with running_endpoint(reply) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path, endpoint: Endpoint) -> ServiceSettings:
    return settings_for(
        tmp_path / "data",
        models_dir,
        llm=LLMSettings(base_url=endpoint.url, model="old", max_retries=0, output="text"),
        answers=AnswerSettings(repair=False),
        releases=ReleaseSettings(poll_s=3600, watch_every_s=3600),
    )


async def _prepared(settings: ServiceSettings, *documents: str) -> str:
    """A corpus with the runbook and these documents, and the id of an answer from it."""
    async with open_runtime(settings) as runtime:
        await ingest(runtime)
        for n, text in enumerate(documents):
            source = DocumentSource(DocumentId(f"other-{n}"), f"other-{n}.md", f"other-{n}.md", text.encode())
            job = runtime.jobs.submit(SCOPE, [source])
            await asyncio.to_thread(runtime.jobs.wait, SCOPE, job.id, 60)
        answer = (await call(runtime, "/v1/answers", dict(QUESTION))).json()
        assert answer["answered"]
        return str(answer["answer_id"])


async def _again(settings: ServiceSettings, answer_id: str, wish: ReplayWish | None = None) -> Replay:
    async with open_reading(settings) as reading:
        return await replay(reading, SCOPE, answer_id, wish or ReplayWish())


def test_the_same_again_and_with_another_prompt(settings: ServiceSettings, endpoint: Endpoint) -> None:
    async def use() -> tuple[Replay, Replay, int]:
        answer_id = await _prepared(settings)
        async with open_reading(settings) as reading:
            same = await replay(reading, SCOPE, answer_id, ReplayWish())
            other = await replay(reading, SCOPE, answer_id, ReplayWish("answer@1", "new", Tier.FAST))
            with reading.corpus.database.connect() as connection:
                kept = connection.scalar(select(func.count()).select_from(traces)) or 0
        return same, other, kept

    same, other, kept = asyncio.run(use())

    assert [change.fate for change in same.sentences] == [Fate.KEPT, Fate.KEPT]
    assert same.before.sentences == same.after.sentences
    assert (same.after.model, same.after.prompt_version) == ("old", "answer@3")
    assert [(change.fate, change.after or change.before) for change in other.sentences] == [
        (Fate.KEPT, other.after.sentences[0]),
        (Fate.GONE, other.before.sentences[1]),
        (Fate.NEW, other.after.sentences[1]),
    ]
    assert (other.before.prompt_version, other.after.prompt_version) == ("answer@3", "answer@1")
    assert (other.before.model, other.after.model) == ("old", "new")
    assert other.before.citations.keys() & other.after.citations.keys()
    assert (other.after.prompt_tokens, other.after.completion_tokens) == (12, 3)
    assert kept == 1
    assert [body["model"] for body in endpoint.bodies] == ["old", "old", "new"]


def test_passages_that_are_gone_are_named(settings: ServiceSettings) -> None:
    async def use() -> tuple[Replay, str]:
        answer_id = await _prepared(settings, OTHER)
        async with open_reading(settings) as reading:
            reading.corpus.delete_document(SCOPE, DocumentId("other-0"))
            rest = await replay(reading, SCOPE, answer_id, ReplayWish())
        async with open_runtime(settings) as runtime:
            source = DocumentSource(DocumentId("gateway"), "gateway.md", "gateway.md", f"{RUNBOOK}\nMore.".encode())
            job = runtime.jobs.submit(SCOPE, [source])
            await asyncio.to_thread(runtime.jobs.wait, SCOPE, job.id, 60)
        with pytest.raises(NotFound) as none:
            await _again(settings, answer_id)
        return rest, none.value.detail

    rest, none = asyncio.run(use())

    assert [(one.uri, one.why) for one in rest.lost] == [("other-0.md", Loss.DELETED)]
    assert rest.passages >= 1
    assert rest.sentences[0].fate is Fate.KEPT
    assert "gateway.md was changed" in none
    assert "other-0.md was deleted" in none


def test_what_can_not_be_replayed_says_why(settings: ServiceSettings) -> None:
    hashed = settings.model_copy(update={"ledger": LedgerSettings(content=Content.HASH)})

    async def use() -> None:
        unkept = await _prepared(hashed)
        async with open_runtime(settings) as runtime:
            search = (await call(runtime, "/v1/search", {"query": "gateway"})).json()
            answer = (await call(runtime, "/v1/answers", dict(QUESTION))).json()
        async with open_reading(settings) as reading:
            for id_, error, words in (
                (unkept, InvalidRequest, "were not kept"),
                (search["query_id"], InvalidRequest, "only answers"),
                ("nothing", NotFound, "no trace"),
            ):
                with pytest.raises(error, match=words):
                    await replay(reading, SCOPE, id_, ReplayWish())
            with pytest.raises(ConfigurationError, match="no prompt"):
                await replay(reading, SCOPE, answer["answer_id"], ReplayWish(prompt="answer@77"))

    asyncio.run(use())


def test_on_the_command_line(settings: ServiceSettings, endpoint: Endpoint) -> None:
    answer_id = asyncio.run(_prepared(settings))
    environment = {
        "PLUMBLINE_DATA_DIR": str(settings.data_dir),
        "PLUMBLINE_MODELS_DIR": str(settings.models_path),
        "PLUMBLINE_LLM__BASE_URL": endpoint.url,
        "PLUMBLINE_LLM__MODEL": "old",
        "PLUMBLINE_LOG_LEVEL": "error",
        "COLUMNS": "160",
        "NO_COLOR": "1",
    }

    shown = CliRunner().invoke(app, ["replay", answer_id, "--prompt", "answer@1"], env=environment)
    told = CliRunner().invoke(app, ["replay", answer_id, "--json"], env=environment)

    assert shown.exit_code == 0, shown.output
    assert "1 kept, 1 new, 1 gone" in shown.stdout
    assert "answer@3" in shown.stdout
    assert json.loads(told.stdout)["sentences"][1]["fate"] == "kept"


def test_sentences_are_told_apart_by_their_words() -> None:
    def said(*texts: str) -> list[ToldSentence]:
        return [ToldSentence(text, "supported", 1.0, ()) for text in texts]

    found = changes(said("Drain  the host.", "Wait.", "Restart it."), said("drain the host.", "Restart it.", "Look."))

    assert [change.fate for change in found] == [Fate.KEPT, Fate.GONE, Fate.KEPT, Fate.NEW]
    assert changes((), ()) == ()
