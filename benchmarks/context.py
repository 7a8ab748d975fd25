"""Measures context packs: `python -m benchmarks.context [--packs N] [--noise] [--facts] [--worst]`; all of it if
nothing is named.

    packs   N packs of random texts, budgets, encodings and limits over sample_docs: how many exceed their budget
            (counted anew with tiktoken), how full they are, whether equal input gives equal bytes
    noise   alerts and golden questions wrapped in logs, mails and consoles: which documents a pack has, against the
            pack of the text alone
    facts   share of the golden questions' expected facts that a pack contains, by budget
    worst   the longest that 100 kB of hostile text take to distil

Exits with 1 if a pack exceeds its budget or differs from its twin, or a noisy text keeps less than 95 % of its measure.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.corpora import REPO, SCOPE, eval_data, sample_documents
from benchmarks.noise import wrap_all
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.encodings import DISTRIBUTION
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings
from service.quality.golden import GoldenCase, load_golden, names_document
from service.retrieval.context import ContextBuilder, ContextQuery
from service.retrieval.distilling import distill
from service.retrieval.packing.records import ContextPack, DropReason
from service.retrieval.query import SearchQuery
from service.retrieval.results import SearchResult
from service.retrieval.search import Searcher
from service.retrieval.tokens import TokenCounter
from service.settings import RetrievalSettings

COLLECTIONS = ("runbooks_kubeprom", "runbooks_openshift")
GOLDEN = ("sample_docs.jsonl", "sample_docs_more.jsonl")
ENCODINGS = ("o200k_base", "cl100k_base")
BUDGETS = (200, 500, 1000, 2000, 4000)
NOISY_BUDGET = 6_000
KEPT = 0.95
"""Share of the clean text's Recall@5 and nDCG@10 that a noisy one must keep."""
TWINS = 50
"""Of so many packs the first is built again."""
SEEDS = (7, 8)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text and the documents that it is about."""

    text: str
    relevant: frozenset[str]


class Remembering(Searcher):
    """Searches for each text once: thousands of packs are built from a few hundred."""

    def __init__(self, corpus: Corpus, settings: RetrievalSettings) -> None:
        super().__init__(corpus, settings)
        self._found: dict[str, SearchResult] = {}

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        if query.text not in self._found:
            self._found[query.text] = super().search(scope, query)
        return self._found[query.text]


def main() -> None:
    arguments = _arguments()
    every = not (arguments.packs or arguments.noise or arguments.facts or arguments.worst)
    good = True
    if arguments.worst or every:
        report_worst()
    if arguments.packs or arguments.facts or arguments.noise or every:
        with built(sample_documents(), arguments) as builder:
            if arguments.facts or every:
                report_facts(builder)
            if arguments.noise or every:
                good &= report_noise("sample_docs", builder, golden_texts())
            if arguments.packs or every:
                good &= report_packs(builder, arguments.packs or 10_000)
    for name in COLLECTIONS if arguments.noise or every else ():
        with built(collection(name), arguments, arguments.corpora and arguments.corpora / name) as builder:
            good &= report_noise(name, builder, alerts(name))
    sys.exit(0 if good else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=int, default=0, metavar="N")
    for part in ("noise", "facts", "worst"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--models", type=Path, default=REPO / ".plumbline" / "models", help="folder of the weights")
    parser.add_argument("--corpora", type=Path, help="folder with a data folder of each collection, ingested before")
    return parser.parse_args()


@contextmanager
def built(
    documents: Iterable[DocumentSource], arguments: argparse.Namespace, ready: Path | None = None
) -> Iterator[ContextBuilder]:
    """A builder over a corpus of the documents, or over a data folder that has them."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=ready or Path(folder), models_dir=arguments.models)
        with open_corpus(settings) as corpus:
            if ready is None:
                with DocumentParser(settings.parsing) as parser:
                    list(Pipeline(corpus, parser).ingest(SCOPE, list(documents)))
            yield ContextBuilder(Remembering(corpus, RetrievalSettings()), corpus, TokenCounter())


# Budgets


def report_packs(builder: ContextBuilder, wanted: int) -> bool:
    """Whether every pack keeps its budget and equals its twin."""
    random, texts = Random(7), list(_texts(Random(11)))
    over = differing = empty = 0
    shares: list[tuple[int, float]] = []
    with independent_counters() as count:
        for number in range(wanted):
            encoding = random.choice(ENCODINGS)
            budget = int(16 * (4000 / 16) ** random.random())
            query = ContextQuery(random.choice(texts), budget, encoding, random.choice((1, 2, 3, 5, 10, 50, 50, 50)))
            pack = builder.build(SCOPE, query)
            tokens = count(encoding, pack.context)
            over += tokens > budget or tokens != pack.tokens or len(pack.passages) > query.max_passages
            differing += number % TWINS == 0 and builder.build(SCOPE, query) != pack
            empty += not pack.passages
            if any(drop.reason is DropReason.BUDGET for drop in pack.dropped):
                shares.append((budget, tokens / budget))
    print(f"packs {wanted}, of them empty {empty}; overruns {over}; other bytes the second time {differing}")
    for least, most in ((16, 64), (64, 256), (256, 1024), (1024, 4001)):
        used = [share for budget, share in shares if least <= budget < most]
        print(f"  budgets {least} to {most - 1} with more found ({len(used)}): used {_mean(used):.1%} on average")
    return not over and not differing


@contextmanager
def independent_counters() -> Iterator[Callable[[str, str], int]]:
    """Counts by tiktoken's own encodings, its cache filled so that nothing is downloaded; it checks the hashes."""
    import tiktoken

    urls = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
    with tempfile.TemporaryDirectory() as folder:
        for name in ENCODINGS:
            url = urls.format(name)
            packed = next(file for file in metadata.files(DISTRIBUTION) or () if file.name == f"{name}.tiktoken.gz")
            ranks = gzip.decompress(Path(str(packed.locate())).read_bytes())
            (Path(folder) / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()).write_bytes(ranks)
        os.environ["TIKTOKEN_CACHE_DIR"] = folder
        encodings = {name: tiktoken.get_encoding(name) for name in ENCODINGS}
        yield lambda name, text: len(encodings[name].encode(text, disallowed_special=()))


def _texts(random: Random) -> Iterator[str]:
    """Golden questions, plain and wrapped, and what people write to a bank."""
    questions = [case.question for case in golden()]
    yield from questions
    yield from (noisy.text for noisy in wrap_all(questions, seed=3))
    yield from random.sample([row["text"] for row in _rows(eval_data() / "tickets" / "banking77_test.jsonl.gz")], 60)
    bulk = _rows(eval_data() / "bulk" / "pagerduty_incident_response.jsonl.gz")
    yield from (row["text"][:6000] for row in random.sample(bulk, 30) if row["text"].strip())


# Noise


def collection(name: str) -> Iterator[DocumentSource]:
    """The documents of a collection of runbooks."""
    for row in _rows(eval_data() / "retrieval" / name / "corpus.jsonl.gz"):
        yield DocumentSource(
            id=DocumentId(row["id"]),
            uri=row["id"],
            name=f"{row['id']}.md",
            title=row["title"] or None,
            data=row["text"].encode(),
            media_type="text/markdown",
        )


def alerts(name: str) -> list[Wanted]:
    """The alerts of a collection, with the runbooks that their authors linked."""
    folder = eval_data() / "retrieval" / name
    relevant: dict[str, set[str]] = defaultdict(set)
    with gzip.open(folder / "qrels.tsv.gz", "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            query, document, grade = line.split("\t")
            if int(grade) > 0:
                relevant[query].add(document)
    rows = _rows(folder / "queries.jsonl.gz")
    return [Wanted(row["text"], frozenset(relevant[row["id"]])) for row in rows if relevant[row["id"]]]


def golden_texts() -> list[Wanted]:
    """Golden questions with the ends of the uris of their documents."""
    return [Wanted(case.question, frozenset(case.relevant_documents)) for case in golden() if case.relevant_documents]


def report_noise(name: str, builder: ContextBuilder, wanted: Sequence[Wanted]) -> bool:
    """Whether the noisy texts find, through the pack, nearly what the clean ones find."""
    clean = [_measured(builder, entry.text, entry.relevant) for entry in wanted]
    good = True
    for seed in SEEDS:
        noisy = wrap_all([entry.text for entry in wanted], seed)
        found = [_measured(builder, n.text, entry.relevant) for n, entry in zip(noisy, wanted, strict=True)]
        kinds: dict[str, list[float]] = defaultdict(list)
        for text, (_, gain) in zip(noisy, found, strict=True):
            kinds[text.kind].append(gain)
        recall, ndcg = (_mean(m[at] for m in found) / _mean(m[at] for m in clean) for at in (0, 1))
        good &= recall >= KEPT and ndcg >= KEPT
        print(
            f"noise {name}, seed {seed}: {len(wanted)} texts; clean R@5 {_mean(m[0] for m in clean):.3f}"
            f" nDCG@10 {_mean(m[1] for m in clean):.3f}; noisy {_mean(m[0] for m in found):.3f}"
            f" {_mean(m[1] for m in found):.3f}; kept {recall:.1%} {ndcg:.1%}"
        )
        print("  nDCG@10 " + ", ".join(f"{kind} {_mean(gains):.2f}" for kind, gains in sorted(kinds.items())))
    return good


def _measured(builder: ContextBuilder, text: str, relevant: frozenset[str]) -> tuple[float, float]:
    """Recall@5 and nDCG@10 of the documents of the pack, in the order of their first passages."""
    pack = builder.build(SCOPE, ContextQuery(text, NOISY_BUDGET))
    documents = list({passage.document.key: passage.document for passage in pack.passages}.values())
    hits = [any(names_document(document, name) for name in relevant) for document in documents]
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant))))
    gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits[:10]) if hit)
    return sum(hits[:5]) / len(relevant), gain / ideal


# Facts


def golden() -> list[GoldenCase]:
    return [case for name in GOLDEN for case in load_golden(REPO / "tests" / "golden" / name)]


def report_facts(builder: ContextBuilder) -> None:
    """Shares of expected facts by budget."""
    cases = [case for case in golden() if case.expected_facts]
    for budget in BUDGETS:
        told = [
            fact
            for case in cases
            for fact in _contained(builder.build(SCOPE, ContextQuery(case.question, budget)), case.expected_facts)
        ]
        print(f"facts at {budget} tokens: {sum(told)} of {len(told)} ({_mean(told):.1%})")


def _contained(pack: ContextPack, facts: Sequence[str]) -> list[bool]:
    context = " ".join(pack.context.casefold().split())
    return [" ".join(fact.casefold().split()) in context for fact in facts]


# The worst


def report_worst() -> None:
    """The longest of several hostile texts, in CPU time, and that of an ordinary log."""
    stamps = (f"2026-04-22T10:31:{n % 60:02}Z ERROR [w-{n}] job {n**3:x} failed: not there" for n in range(9000))
    texts = {
        "distinct errors": "\n".join(stamp + " y" * (n % 9) for n, stamp in enumerate(stamps)),
        "tags": "<div>" * 20_000,
        "entities": "&amp;<b>" * 12_000,
        "short lines": "x\n" * 50_000,
        "one word": "a-" * 50_000,
        "addresses": "a.b@" * 25_000,
        "fields": 'msg="' * 20_000,
        "headers": "From: a\n" * 12_000,
        "deep JSON": '{"a":' * 20_000,
    }
    for name, text in texts.items():
        spent = []
        for _ in range(3):
            started = time.process_time()
            distill(text[:100_000])
            spent.append(time.process_time() - started)
        print(f"distil 100 kB of {name}: {min(spent) * 1e3:.1f} ms of CPU")


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))


if __name__ == "__main__":
    main()
