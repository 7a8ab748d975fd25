"""Whether the gate stops what it should and nothing else: `python -m benchmarks.gate [--runs N] [--unchanged N]`.

Over sample_docs and the golden files of tests/golden, every run of `service.quality.gating.run_gate` is compared with
one baseline. The model is `noisy_writer`, which writes otherwise in every run; all else is the product. A text is
embedded and a search is made once for all runs, since both are the same in each.

    unchanged   the same build with other seeds: must pass
    embedder    the corpus embedded anew by an endpoint whose vectors are cut to a few dimensions: must be stopped
    prompt      a prompt that does not ask for citations: must be stopped
    verifier    a scorer that calls every sentence supported: must be stopped
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.answers import ingest
from benchmarks.corpora import REPO
from benchmarks.noisy_writer import ForgettingPrompt, NoisyWriter
from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.corpus.scope import Scope
from ingestion.settings import EmbedderSettings
from ingestion.telemetry import configure_logging
from service.generation.answering import Answerer, Means
from service.generation.answers import Support, SupportLabel
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import CheckedSentence, GroundingScorer
from service.generation.models.llm import ChatModel, Models
from service.generation.verification import Verifier
from service.quality.evaluating import Plan
from service.quality.gating import GatePlan, GateResult, run_gate
from service.quality.runs import Run
from service.quality.searching import Depths
from service.retrieval.query import SearchQuery
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.runtime import Reading, means_of, open_reading, retriever
from service.settings import ServiceSettings
from tests.embeddings_endpoint import KEY, MODEL, running_endpoint

GOLDEN = tuple(sorted((REPO / "tests" / "golden").glob("*.jsonl")))
DIMENSIONS = 16
PLAN = GatePlan(plan=Plan(depths=Depths(page=10, whole=10)))
MakeModel = Callable[[int], ChatModel]


class ApprovingScorer(GroundingScorer):
    """A verifier that is switched off: whatever it is given is supported."""

    def check(self, sentence: str, cited: Sequence[Evidence], question: str = "") -> CheckedSentence:
        return _approved(super().check(sentence, cited, question))

    def compare(self, sentence: str, cited: Sequence[Evidence]) -> CheckedSentence:
        return _approved(super().compare(sentence, cited))


def _approved(checked: CheckedSentence) -> CheckedSentence:
    return replace(checked, support=Support(SupportLabel.SUPPORTED, 1.0, ("approved",)))


def approving(reader: Reader, shown: Sequence[Evidence]) -> GroundingScorer:
    """Makes one for an answer."""
    return ApprovingScorer(reader)


class Remembering:
    """An embedder that embeds a text once, for all runs: it would give the same vector every time."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._documents: dict[str, NDArray[np.float32]] = {}
        self._queries: dict[str, NDArray[np.float32]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._documents]
        if new:
            self._documents.update(zip(new, self._embedder.embed_documents(new), strict=True))
        return np.stack([self._documents[text] for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if text not in self._queries:
            self._queries[text] = self._embedder.embed_query(text)
        return self._queries[text]


class RememberingSearcher:
    """A searcher that makes the same search once, for all runs."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._found: dict[str, SearchResult] = {}

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        """See `Searcher.search`."""
        key = repr((scope, query))
        if key not in self._found:
            self._found[key] = self._searcher.search(scope, query)
        return self._found[key]


@dataclass(frozen=True, slots=True)
class Build:
    """A build to be gated, open; `make_model` gives the writer of a seed, `change` what is otherwise in its means."""

    settings: ServiceSettings
    reading: Reading
    means: Means
    make_model: MakeModel = NoisyWriter
    change: Callable[[Means], Means] = lambda means: means

    def gate(self, baseline: Run | None, golden: Sequence[Path], seed: int, plan: GatePlan) -> GateResult:
        """One run, with that seed for the writer."""
        return run_gate(self.settings, golden, baseline, plan, opening=partial(self._opened, seed))

    @asynccontextmanager
    async def _opened(self, seed: int, settings: ServiceSettings) -> AsyncIterator[Reading]:
        means = self.change(self.means)
        models = Models(fast=self.make_model(seed))
        answerer = Answerer(retriever(self.reading.searcher, settings), models, settings, means)
        yield replace(
            self.reading, answerer=answerer, verifier=Verifier(self.reading.corpus.get_chunks, means.scorers())
        )


@asynccontextmanager
async def opened(settings: ServiceSettings) -> AsyncIterator[Build]:
    """The build of these settings."""
    async with open_reading(settings) as reading:
        with reading.corpus.pinned() as view:
            view.embedder = Remembering(view.embedder)
            means = replace(means_of(reading.corpus, settings), embedder=view.embedder)
            yield Build(settings, replace(reading, searcher=RememberingSearcher(reading.searcher)), means)


def forgetting(seed: int) -> ChatModel:
    """The writer behind a prompt that asks for no citations."""
    return ForgettingPrompt(NoisyWriter(seed))


def switched_off(means: Means) -> Means:
    """The same means with a verifier that approves of everything."""
    return replace(means, make_scorer=approving)


@contextmanager
def crippled(settings: ServiceSettings, data_dir: Path, dimensions: int = DIMENSIONS) -> Iterator[ServiceSettings]:
    """Settings of a corpus whose embedder is an endpoint with vectors of few dimensions, while the context lasts."""
    embedder = open_embedder(settings.embedder, settings.models_path)
    with running_endpoint(embedder) as endpoint:
        endpoint.dimension = dimensions
        embedder_settings = EmbedderSettings(
            provider="openai", model=MODEL, base_url=endpoint.url, api_key=KEY, dimension=dimensions
        )
        yield settings.model_copy(update={"data_dir": data_dir, "embedder": embedder_settings})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unchanged", type=int, default=20, help="runs of the unchanged build")
    parser.add_argument("--runs", type=int, default=10, help="runs of each planted regression")
    parser.add_argument("--work", type=Path, help="folder that keeps the corpora for another time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.work or Path(temporary)
        settings = ServiceSettings(data_dir=folder / "sound", log_level="error")
        configure_logging(settings)
        ingest(settings)
        with crippled(settings, folder / "crippled") as worse:
            ingest(worse)
            wrong = asyncio.run(_run(settings, worse, chosen.unchanged, chosen.runs))
    sys.exit(1 if wrong else 0)


async def _run(settings: ServiceSettings, worse: ServiceSettings, unchanged: int, runs: int) -> int:
    """The number of runs that ended otherwise than they should."""
    wrong = 0
    async with opened(settings) as sound:
        baseline = (await asyncio.to_thread(sound.gate, None, GOLDEN, 0, PLAN)).run
        _show(baseline)
        builds = {
            "unchanged": sound,
            "prompt": replace(sound, make_model=forgetting),
            "verifier": replace(sound, change=switched_off),
        }
        for at, (name, build) in enumerate(builds.items(), start=1):
            times = unchanged if name == "unchanged" else runs
            wrong += await asyncio.to_thread(_several, name, build, baseline, range(at * 1_000, at * 1_000 + times))
    async with opened(worse) as build:
        wrong += await asyncio.to_thread(_several, "embedder", build, baseline, range(4_000, 4_000 + runs))
    return wrong


def _several(name: str, build: Build, baseline: Run, seeds: Sequence[int]) -> int:
    began = time.perf_counter()
    results = []
    for seed in seeds:
        results.append(build.gate(baseline, GOLDEN, seed, PLAN))
        print(".", end="", flush=True)
    wrong = _report(name, results)
    print(f"  {(time.perf_counter() - began) / max(1, len(seeds)):.0f} s a run", flush=True)
    return wrong


def _report(name: str, results: Sequence[GateResult]) -> int:
    """Print how the gate ended, and why; the number of runs that ended otherwise than they should."""
    verdicts = [result.verdict for result in results if result.verdict is not None]
    passed = sum(verdict.passed for verdict in verdicts)
    good = passed if name == "unchanged" else len(verdicts) - passed
    print(f"\n{name}: {'passed' if name == 'unchanged' else 'stopped'} in {good} of {len(verdicts)} runs")
    checks = [check for verdict in verdicts for check in verdict.checks]
    fell = Counter((check.set, check.measure) for check in checks if check.fell)
    for (set_, measure), count in fell.most_common():
        own = [check for check in checks if (check.set, check.measure) == (set_, measure)]
        before, after = (sum(values) / len(own) for values in ([c.before for c in own], [c.after for c in own]))
        print(f"  {set_} {measure}: fell in {count}, {before:.3f} → {after:.3f} on average")
    falls = {str(check) for check in checks if check.fell}
    for line, count in Counter(line for one in verdicts for line in one.failures if line not in falls).items():
        print(f"  {count} times: {line}")
    least = min((check.chance.p for check in checks if not check.fell), default=1.0)
    strictest = min((check.level for check in checks), default=0.0)
    print(f"  smallest p of what did not fall {least:.2g}, strictest level {strictest:.2g}", flush=True)
    return len(verdicts) - good


def _show(run: Run) -> None:
    for one in run.sets:
        assert one.answers is not None
        measures = {**one.rows["ours"].metrics, **one.answers.metrics}
        print(f"{one.name}: " + ", ".join(f"{name} {value.mean:.3f}" for name, value in measures.items()))


if __name__ == "__main__":
    main()
