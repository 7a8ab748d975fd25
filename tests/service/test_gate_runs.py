"""The gate over a real corpus, real retrieval and the real verifier: a noisy writer passes, planted regressions don't.

benchmarks.gate does the same with more documents, cases and runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.gate import Build, crippled, forgetting, opened, switched_off
from ingestion.corpus.corpus import open_corpus
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.sources.files import Attributes, FoundFile, read_files, select_files
from ingestion.telemetry import configure_logging
from service.quality.answering.asking import AnswerPlan
from service.quality.evaluating import Plan
from service.quality.gating import GatePlan, GateResult, run_gate
from service.quality.runs import Run
from service.quality.searching import Depths
from service.quality.verdicts import Gate, Verdict
from service.settings import ServiceSettings
from tests.ingestion.corpora import SCOPE

FOLDERS = ("runbooks", "oncall", "policies", "howto", "reference")
PLAN = GatePlan(plan=Plan(depths=Depths(page=10, whole=10)))
MUST_REFUSE = 4


@dataclass(frozen=True, slots=True)
class Bench:
    """A corpus of the sample documents in Markdown, the cases about them, a baseline, and gates over it by name."""

    settings: ServiceSettings
    sources: tuple[FoundFile, ...]
    golden: Path
    baseline: Run
    results: Mapping[str, GateResult]

    def verdict(self, name: str) -> Verdict:
        found = self.results[name].verdict
        assert found is not None
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path, repo_root: Path) -> Bench:
    base = tmp_path_factory.mktemp("gate")
    found = select_files([sample_docs], {".md"}).files
    sources = tuple(file for file in found if Path(file.path).parent.name in FOLDERS and file.path.endswith(".md"))
    # Whether the passages hold an answer is left to the writer: estimating it takes most of the time of an answer.
    answers = ServiceSettings().answers.model_copy(update={"min_answerability": 0.0})
    settings = ServiceSettings(data_dir=base / "sound", models_dir=models_dir, log_level="warning", answers=answers)
    configure_logging(settings)
    ingest(settings, sources)
    golden = base / "golden.jsonl"
    golden.write_text("\n".join(_cases(repo_root / "tests" / "golden", sources, sample_docs)))
    baseline, results = asyncio.run(_gates(settings, golden))
    return Bench(settings, sources, golden, baseline, results)


async def _gates(settings: ServiceSettings, golden: Path) -> tuple[Run, dict[str, GateResult]]:
    async with opened(settings) as sound:

        async def gate(build: Build, baseline: Run | None, seed: int) -> GateResult:
            return await asyncio.to_thread(build.gate, baseline, [golden], seed, PLAN)

        baseline = (await gate(sound, None, 0)).run
        return baseline, {
            "unchanged": await gate(sound, baseline, 1),
            "unchanged again": await gate(sound, baseline, 2),
            "prompt": await gate(replace(sound, make_model=forgetting), baseline, 3),
            "verifier": await gate(replace(sound, change=switched_off), baseline, 4),
        }


def ingest(settings: ServiceSettings, files: tuple[FoundFile, ...]) -> None:
    """Put the files into the corpus of these settings."""
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        documents = read_files(files, Attributes(), max_bytes=1_000_000)
        assert [one for one in Pipeline(corpus, parser).ingest(SCOPE, documents) if one.code is not None] == []


def _cases(folder: Path, sources: tuple[FoundFile, ...], root: Path) -> Iterator[str]:
    """The cases that these documents answer, and some that they don't."""
    there = {Path(file.path).relative_to(root).as_posix() for file in sources}
    hopeless = 0
    for file in sorted(folder.glob("*.jsonl")):
        for line in filter(str.strip, file.read_text().splitlines()):
            case = json.loads(line)
            named = set(case.get("relevant_documents", ()))
            hopeless += case["must_refuse"]
            if (case["must_refuse"] and hopeless <= MUST_REFUSE) or (named and named <= there):
                yield line


@pytest.mark.parametrize("name", ["unchanged", "unchanged again"])
def test_an_unchanged_build_passes_though_it_writes_otherwise(bench: Bench, name: str) -> None:
    assert bench.verdict(name).passed, bench.verdict(name).failures
    before, after = bench.baseline.sets[0].answers, bench.results[name].run.sets[0].answers
    assert before is not None
    assert after is not None
    assert [row.text for row in before.cases] != [row.text for row in after.cases]


def test_a_prompt_that_drops_citations_is_stopped(bench: Bench) -> None:
    fallen = {check.measure for check in bench.verdict("prompt").fallen}

    assert {"citation_precision", "citation_recall"} <= fallen


def test_a_verifier_that_is_switched_off_is_stopped(bench: Bench) -> None:
    fallen = {check.measure: check for check in bench.verdict("verifier").fallen}

    assert fallen["probe_caught"].before > 0.98
    assert fallen["probe_caught"].after == 0.0
    assert any("the verifier missed" in line for line in fallen["probe_caught"].worst[0].wrong)


def test_a_worse_embedder_is_stopped(bench: Bench, tmp_path: Path) -> None:
    plan = replace(PLAN, answers=None, gate=Gate(metrics=("ndcg@10",)))
    with crippled(bench.settings, tmp_path / "crippled", dimensions=2) as worse:
        ingest(worse, bench.sources)
        verdict = run_gate(worse, [bench.golden], bench.baseline, plan).verdict

    assert verdict is not None
    assert [check.measure for check in verdict.fallen] == ["ndcg@10"]


def test_without_a_model_answers_are_extracted_and_measured(bench: Bench) -> None:
    plan = replace(PLAN, plan=replace(PLAN.plan, limit_queries=4), answers=AnswerPlan(repeat=2))

    result = run_gate(bench.settings, [bench.golden], None, plan)

    answers = result.run.sets[0].answers
    assert result.verdict is None
    assert answers is not None
    assert (answers.model, answers.repeat) == (None, 2)
    assert answers.metrics["answered"].mean > 0.5
    assert answers.metrics["probe_kept"].mean > 0.9
    assert "citation_recall" not in answers.metrics
