"""`plumbline search` with its options: facets, groups, order, filters and explanations, here and over a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli.searching import show
from tests.service.http_parts import running, settings_for
from tests.service.test_cli import environment, filled, run

__all__ = ["environment", "filled"]

OPTIONS = (
    *("--facet", "source", "--facet", "collection", "--group", "--sort", "newest", "--explain", "--limit", "3"),
    *("--no-fold", "--filter", '{"must": [{"key": "updated_at", "gte": "2000-01-01"}]}', "--collection", "default"),
)


def test_a_service_answers_as_the_data_folder_does(filled: dict[str, str], models_dir: Path) -> None:
    here = run(filled, "search", "restart gateway", *OPTIONS, "--json")
    shown = run(filled, "search", "restart gateway", *OPTIONS)
    with running(settings_for(Path(filled["PLUMBLINE_DATA_DIR"]), models_dir)) as url:
        there = run(filled, "search", "restart gateway", *OPTIONS, "--json", "--url", url)

    assert here.exit_code == there.exit_code == 0, there.output
    found, remote = json.loads(here.stdout), json.loads(there.stdout)
    left_out = {"query_id": "", "timings_ms": {}}
    assert found | left_out == remote | left_out
    assert found["facets"]["collection"] == [{"value": "default", "count": 1}]
    assert found["hits"][0]["explanation"]["rank"] == 1
    for words in ("collection: default (1)", "weights", "rank 1, score", "ranked by"):
        assert words in shown.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--facet", "metadata.nobody"), "metadata.nobody"),
        (("--facet", "colour"), "unknown facet"),
        (("--filter", "{"), "not JSON"),
        (("--filter", '{"must": [{"key": "colour"}]}'), "unknown field"),
    ],
)
def test_what_is_wrong_is_named(filled: dict[str, str], options: tuple[str, ...], words: str) -> None:
    refused = run(filled, "search", "gateway", *options)

    assert refused.exit_code == 2
    assert words in refused.stderr


def test_what_an_older_service_sends_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    hit = {
        **{"document": {"title": "Gateway", "uri": "gateway.md"}, "heading_path": ["Steps"], "score": 0.5},
        **{"text": "Restart it.\n" * 9, "span": {"start": 0, "end": 108}},
    }
    show(
        Console(width=80),
        {"relevance": {"label": "weak", "confidence": 0.3}, "hits": [hit], "total": 1, "timings_ms": {"total": 3.0}},
    )

    shown = capsys.readouterr().out
    assert "1. Gateway > Steps" in shown
    assert shown.count("Restart it.") == 6
