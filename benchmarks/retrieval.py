"""Every number about retrieval, by one command: `python -m benchmarks.retrieval [--only NAME …] [--write]`.

Each judged collection of the evaluation data becomes a corpus of its own, built by the product and kept below --work.
Its queries are searched in hybrid mode, by BM25 alone and by meaning alone, and each row is measured with intervals;
plain reciprocal rank fusion of the two legs is worked out beside them. Then some queries are asked again with one
typing mistake, and exact search is compared with SQL LIKE. What the product promises is checked at the end.

--write puts the figures into docs/quality/retrieval.md. Ends with status 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpora import REPO, SCOPE, eval_data
from benchmarks.mistakes import mistype
from ingestion.corpus.catalog_reader import DocumentQuery
from service.cli.console import settings
from service.quality.evaluating import GoldenSet, Plan, evaluate_set
from service.quality.folders import find_folder
from service.quality.metrics import measure
from service.quality.runs import KEYWORD, OURS, RRF, SEMANTIC, SetRun, Value, save_run
from service.quality.searching import Depths, Runner, Target, judged
from service.quality.session import Session
from service.quality.splits import Part, Split
from service.retrieval.query import SearchMode

REPORT = REPO / "docs/quality/retrieval.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"
ROWS = {KEYWORD: "BM25", SEMANTIC: "dense", RRF: "plain RRF", OURS: "ours"}
LITERAL = "movies_ltr"
"""The collection that is nearest to a table that people search with LIKE."""
K = 10
METRIC = f"ndcg@{K}"
LEAST = {"scifact": 0.70, "runbooks_openshift": 0.95}
NEVER_BELOW, MEAN_GAIN, TYPOS_KEEP = 0.005, 0.02, 0.90
ELSEWHERE = """\
The calibration of `score` and `relevance` has a program of its own, `python -m benchmarks.relevance`; refusals with
the signals of answers, `python -m benchmarks.answerability`; budgets of context packs,
`python -m benchmarks.context`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """nDCG of the same queries, clean and with one typing mistake each, and the 95 % interval of their ratio."""

    queries: int
    clean: float
    typo: float
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.typo / self.clean


@dataclass(frozen=True, slots=True)
class Literal:
    """What exact search found of what LIKE finds: of `rows` none is to be `missed`, and none found that is `wrong`."""

    needles: int
    rows: int
    missed: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured on one collection."""

    run: SetRun
    kept: Kept | None
    literal: Literal | None

    @property
    def gain(self) -> Value:
        """Ours minus the better leg."""
        return self.run.differences[METRIC]


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised, what was measured, and whether it holds."""

    what: str
    measured: str
    holds: bool


def main() -> None:
    arguments = _arguments()
    depths = Depths(page=K, whole=max(K, arguments.depth), threads=arguments.threads)
    split = Split(Part(arguments.split), arguments.folds, arguments.fold) if arguments.split else None
    plan = Plan(depths=depths, seed=arguments.seed, limit_queries=arguments.limit_queries, split=split)
    session = Session(settings(quiet=True), plan, SCOPE, arguments.work)
    found = []
    for path in collections(arguments.data, arguments.only):
        with _told() as tell:
            found.append(asyncio.run(measure_collection(session, path, arguments, tell)))
        print("\n".join(head() + row(found[-1])) if len(found) == 1 else "\n".join(row(found[-1])), flush=True)
    if arguments.json is not None:
        save_run(session.collect([one.run for one in found]), arguments.json)
    text = page(found, plan)
    print(f"\n{text}")
    if arguments.write:
        write(text)
    if not all(promise.holds for promise in promises(found)):
        sys.exit(1)


def collections(data: Path, only: Sequence[str]) -> list[Path]:
    """Where the judged collections are, in the order of their names."""
    paths = [*sorted((data / "retrieval").iterdir()), data / "answers/clapnq"]
    named = {folder.name: path for path in paths if (folder := find_folder(path)) is not None}
    if strangers := set(only) - set(named):
        sys.exit(f"no collection {', '.join(sorted(strangers))}; there are {', '.join(named)}")
    return [path for name, path in named.items() if not only or name in only]


async def measure_collection(
    session: Session, path: Path, arguments: argparse.Namespace, tell: Callable[[str, int, int], None]
) -> Measured:
    """The rows, then typing mistakes, then exact search where the collection is the one for it."""
    async with session.opened(path, tell) as (target, golden):
        run = await asyncio.to_thread(evaluate_set, target, golden, session.plan, tell)
        kept = await asyncio.to_thread(with_typos, target, golden, session.plan, arguments.typos)
        literal = None
        if golden.name == LITERAL and arguments.needles:
            literal = await asyncio.to_thread(like_recall, target, arguments.needles, session.plan.seed)
        return Measured(run, kept, literal)


def with_typos(target: Target, golden: GoldenSet, plan: Plan, limit: int) -> Kept | None:
    """What is left of nDCG when each query has one typing mistake; None if nothing is to be asked."""
    pairs = mistype(golden.cases, limit, plan.seed)
    if not pairs:
        return None
    runner = Runner(target, Depths(page=K, whole=K, threads=plan.depths.threads))
    values = []
    for cases in ([pair.clean for pair in pairs], [pair.typo for pair in pairs]):
        found = runner.run(cases, SearchMode.HYBRID, lambda: None)
        ranked = {case.id: one.ranked for case, one in zip(cases, found, strict=True)}
        measured = measure(judged(cases), ranked, K, K)
        values.append(np.array([measured[case.id][METRIC] for case in cases]))
    clean, typo = values
    chance = np.random.default_rng(plan.seed)
    draws = [chance.integers(0, len(pairs), len(pairs)) for _ in range(2_000)]
    ratios = [typo[draw].mean() / clean[draw].mean() for draw in draws if clean[draw].any()]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Kept(len(pairs), float(clean.mean()), float(typo.mean()), float(low), float(high))


def like_recall(target: Target, needles: int, seed: int) -> Literal | None:
    """Exact search beside `LIKE '%…%'` over the same rows in SQLite."""
    from benchmarks import literal

    stored = set(_ids(target))
    films = [film for film in literal._lines("corpus") if film["id"] in stored]
    with closing(literal._table(films)) as table:
        tallies = literal.compare(target.corpus, table, films, literal.needles(films, needles, seed))
    return Literal(
        needles=sum(tally.needles for tally in tallies.values()),
        rows=sum(tally.rows for tally in tallies.values()),
        missed=sum(len(tally.missed) for tally in tallies.values()),
        wrong=sum(len(tally.wrong) for tally in tallies.values()),
    )


def _ids(target: Target) -> Iterator[str]:
    """The documents that are stored."""
    cursor = None
    while True:
        listed = target.corpus.list_documents(target.scope, DocumentQuery(), cursor=cursor, limit=1_000)
        yield from (document.id for document in listed.items)
        if (cursor := listed.next_cursor) is None:
            return


def head() -> list[str]:
    """The first lines of the table of collections."""
    names = ["collection", "queries", *ROWS.values(), "ours - better leg", "one typo keeps"]
    return [f"| {' | '.join(names)} |", "| " + " | ".join("---" for _ in names) + " |"]


def row(one: Measured) -> list[str]:
    """The line of a collection: nDCG@10 with 95 % intervals."""
    cells = []
    for name in ROWS:
        value = one.run.rows[name].metrics[METRIC]
        cells.append(f"{value.mean:.3f} ({value.low:.3f}-{value.high:.3f})")
    gain, kept = one.gain, one.kept
    cells.append(f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})")
    cells.append("" if kept is None else f"{kept.share:.1%} ({kept.low:.1%}-{kept.high:.1%} of {kept.queries})")
    return [f"| {one.run.name} | {gain.n} | {' | '.join(cells)} |"]


def mean_row(found: Sequence[Measured]) -> list[str]:
    """The means over the collections. The interval of the gain takes the collections as they are."""
    means = [f"{statistics.fmean(one.run.rows[name].metrics[METRIC].mean for one in found):.3f}" for name in ROWS]
    gain, spread = mean_gain(found)
    shares = [one.kept.share for one in found if one.kept is not None]
    kept = f"{statistics.fmean(shares):.1%}" if shares else ""
    gained = f"{gain:+.3f} ({gain - spread:+.3f} to {gain + spread:+.3f})"
    return [f"| mean | | {' | '.join(means)} | {gained} | {kept} |"]


def mean_gain(found: Sequence[Measured]) -> tuple[float, float]:
    """Ours minus the better leg on average, and half the width of its interval, the collections being independent."""
    halves = [(one.gain.high - one.gain.low) / 2 for one in found]
    return statistics.fmean(one.gain.mean for one in found), sum(half**2 for half in halves) ** 0.5 / len(found)


def promises(found: Sequence[Measured]) -> Iterator[Promise]:
    """What the product promises of what was measured."""
    for one in found:
        gain = one.gain
        what = f"{one.run.name}: ours is not more than {NEVER_BELOW} below the better leg"
        yield Promise(what, f"{gain.mean:+.4f}", gain.mean >= -NEVER_BELOW)
    gain, spread = mean_gain(found)
    yield Promise(
        f"on average at least {MEAN_GAIN} above the better leg", f"{gain:+.4f} ± {spread:.4f}", gain >= MEAN_GAIN
    )
    for one in found:
        if one.run.name in LEAST:
            reached, least = one.run.rows[OURS].metrics[METRIC].mean, LEAST[one.run.name]
            yield Promise(f"{one.run.name}: nDCG@10 at least {least:.2f}", f"{reached:.4f}", reached >= least)
    shares = [one.kept.share for one in found if one.kept is not None]
    if shares:
        share = statistics.fmean(shares)
        worst = min((one for one in found if one.kept is not None), key=lambda one: one.kept.share if one.kept else 1)
        told = f"{share:.1%} on average, {min(shares):.1%} on {worst.run.name}"
        yield Promise(f"one typing mistake leaves at least {TYPOS_KEEP:.0%} of nDCG@10", told, share >= TYPOS_KEEP)
    for one in found:
        if one.literal is not None:
            told = f"{one.literal.missed} of {one.literal.rows} rows missed, {one.literal.needles} strings"
            yield Promise(f"{one.run.name}: exact search finds every row of LIKE", told, one.literal.missed == 0)


def page(found: Sequence[Measured], plan: Plan) -> str:
    """The figures as Markdown."""
    corpus = found[0].run.corpus
    lines = [
        f"nDCG@10 with 95 % intervals (bootstrap over queries, seed {plan.seed}), at most "
        f"{plan.limit_queries or 'all'} queries of a collection{_part(plan)}; embedder `{corpus.embedder}`, lexical "
        f"encoder `{corpus.lexical}`.",
        "",
        *head(),
        *(line for one in found for line in row(one)),
        *mean_row(found),
        "",
        "| | recall@10 | recall@100 | MRR | MAP | hit@1 | p50 / p95 ms |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_further(one) for one in found),
        "",
        "| promised | measured | |",
        "| --- | --- | --- |",
        *(f"| {one.what} | {one.measured} | {'holds' if one.holds else '**missed**'} |" for one in promises(found)),
        "",
        *(line for one in found for line in _refusals(one)),
        ELSEWHERE,
    ]
    return "\n".join(lines)


def _refusals(one: Measured) -> list[str]:
    """What retrieval alone says of questions without an answer: no promise, since the subject may well be there."""
    told, stated = one.run.refusals, one.run.confidence
    if told is None or stated is None:
        return []
    return [
        f"{one.run.name}, {told.must} of {told.must + told.may_not} without an answer, refused by `relevance.label` "
        f"alone: precision {told.precision:.3f}, recall {told.recall:.3f}, F1 {told.f1:.3f} "
        f"({told.f1_low:.3f}-{told.f1_high:.3f}); calibration error of `relevance.confidence` against "
        f"answerability {stated.error:.3f}.",
        "",
    ]


def _part(plan: Plan) -> str:
    split = plan.split
    return "" if split is None else f", {split.part} part of fold {split.fold} of {split.folds}"


def _further(one: Measured) -> str:
    """Ours by the other measures."""
    ours = one.run.rows[OURS]
    values = [ours.metrics.get(name) for name in (f"recall@{K}", "recall@100", "mrr", "map", "hit@1")]
    cells = ["" if value is None else f"{value.mean:.3f}" for value in values]
    return f"| {one.run.name} | {' | '.join(cells)} | {ours.p50_ms or 0:.0f} / {ours.p95_ms or 0:.0f} |"


def write(text: str) -> None:
    """Put the figures between the marks of the report; what stands around them stays."""
    before, _, rest = REPORT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    REPORT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


@contextmanager
def _told() -> Iterator[Callable[[str, int, int], None]]:
    """Progress on standard error, a line for every twentieth of the way."""
    last: tuple[str, int] | None = None

    def tell(doing: str, done: int, total: int) -> None:
        nonlocal last
        now = (doing, done * 20 // max(1, total))
        if now != last:
            last = now
            print(f"{doing}: {done} of {total}", file=sys.stderr, flush=True)

    yield tell


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the evaluation data")
    parser.add_argument("--work", type=Path, default=REPO / ".plumbline/evaluation", help="folder of built corpora")
    parser.add_argument("--only", nargs="*", default=[], help="names of collections")
    parser.add_argument("--limit-queries", type=int, default=2_000, help="queries of a collection, drawn at random")
    parser.add_argument("--split", choices=list(Part), help="only this part of each set, as `plumbline eval`")
    parser.add_argument("--folds", type=int, default=5, help="parts that --split cuts a set into")
    parser.add_argument("--fold", type=int, default=0, help="which of them is the test part")
    parser.add_argument("--depth", type=int, default=100, help="documents ranked; 10 is faster and measures no deeper")
    parser.add_argument("--typos", type=int, default=300, help="queries of a collection asked with a typing mistake")
    parser.add_argument("--needles", type=int, default=300, help="strings of each kind compared with LIKE; 0: none")
    parser.add_argument("--threads", type=int, default=2, help="searches at a time; 1 for latencies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the run, for `plumbline eval --diff` and `--baseline`")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {REPORT.relative_to(REPO)}")
    chosen = parser.parse_args()
    chosen.data = chosen.data or eval_data()
    return chosen


if __name__ == "__main__":
    main()
