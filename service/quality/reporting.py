"""Runs and comparisons as Markdown for people: what was measured, how far to trust it, and what stands out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import shorten

from service.quality.comparing import SetChange
from service.quality.measures import COST, TOKENS, TOTAL_MS, measure_named
from service.quality.runs import KEYWORD, OURS, RRF, SEMANTIC, Answers, Bins, QueryRow, Run, SetRun, Value
from service.quality.verdicts import Verdict

TITLES = {OURS: "ours", KEYWORD: "BM25 only", SEMANTIC: "dense only", RRF: "plain RRF (k=60)"}
_SHOWN = 10
_WRONG = 30
_TOP = 3
_SHORT = 100

CAUTIONS = """\
- Intervals hold the mean with 95 % confidence (percentile bootstrap over queries, seeded). With 100 queries they are
  about ±.05 wide: a difference inside its interval around 0 is no difference.
- "Ours" is ranked as it is served: the first page as a reader gets it, then what a deeper search adds. Documents are
  ranked, not passages: each by its best passage.
- "Ours - better leg" takes the leg that is better on these very queries, which favours that leg a little.
- A document that nobody judged counts as not relevant.
- Thresholds, weights and the relevance calibration of the product were fitted on some public collections. Where one of
  those is measured here, it is in sample; fit on one part and measure on another with `--split`.
- Latencies were taken with searches side by side and are no promise about a quiet machine; the dense row has its query
  vectors from the first row already.
- What an answer is worth is told by facts that stand in it word for word and by the product's own verifier. The probes
  say how far that one can be trusted: it is no judge from elsewhere."""


def report(run: Run, changes: Sequence[SetChange] = (), verdict: Verdict | None = None) -> str:
    """The run as a Markdown page, with what changed since a baseline and the verdict of a gate if there are such."""
    options = run.options
    parts = [
        "# Retrieval and answers, measured" if any(one.answers for one in run.sets) else "# Retrieval, measured",
        "",
        f"{run.created_at:%Y-%m-%d %H:%M} UTC, version {run.version}, mode `{options.mode}`, pages of {options.k}, "
        f"rankings of {options.depth}, seed {options.seed}{_sampled(run)}.",
        "",
    ]
    for one in run.sets:
        parts += [*_set(one), ""]
    if changes:
        parts += ["# Since the baseline", ""]
        for change in changes:
            parts += [*change_lines(change), ""]
    if verdict is not None:
        parts += [*_verdict(verdict), ""]
    parts += ["# How far to trust this", "", CAUTIONS, ""]
    parts += ["# Settings", "", *(f"- `{name}`: {value}" for name, value in sorted(run.retrieval.items())), ""]
    return "\n".join(parts)


def diff_report(changes: Sequence[SetChange]) -> str:
    """What changed between two runs as a Markdown page."""
    parts = ["# Two runs side by side", ""]
    for change in changes:
        parts += [*change_lines(change), ""]
    return "\n".join(parts)


def change_lines(change: SetChange) -> list[str]:
    """What changed in one set: measures with their differences, then the queries that lost and gained most."""
    lines = [f"## {change.name}", "", *_table(("measure", "difference", "95 %", "queries"))]
    for name, found in change.differences.items():
        lines.append(f"| {name} | {found.mean:+.4f} | {found.low:+.4f} to {found.high:+.4f} | {found.n} |")
    lost = [one for one in change.changes if one.gain < 0]
    gained = [one for one in reversed(change.changes) if one.gain > 0]
    lines += ["", f"{change.metric}: {len(lost)} queries lost, {len(gained)} gained."]
    if change.only_before or change.only_after:
        lines.append(f"{change.only_before} queries are in the first run only, {change.only_after} in the second only.")
    for title, ones in (("Lost most", lost), ("Gained most", gained)):
        if ones:
            lines += ["", f"### {title}", "", *_table(("query", "before", "after", "on top before", "on top after"))]
        for one in ones[:_SHOWN]:
            tops = (" / ".join(map(_short, top[:_TOP])) or "nothing" for top in (one.top_before, one.top_after))
            lines.append(_cells(f"{_short(one.text)} ({one.id})", f"{one.before:.3f}", f"{one.after:.3f}", *tops))
    return lines


def _set(one: SetRun) -> list[str]:
    measured = list(one.rows[OURS].metrics)
    cases = f"{len(one.questions)} cases" + (f" ({one.unjudged} without a judgement left out)" if one.unjudged else "")
    corpus = one.corpus
    lines = [
        f"## {one.name}",
        "",
        f"{corpus.documents} documents, {cases}; index `{corpus.index_version}`, embedder `{corpus.embedder}`, "
        f"lexical encoder `{corpus.lexical}`.",
        "",
    ]
    if corpus.fitted:
        names = ", ".join(f"`{name}`" if name else "all collections" for name in corpus.fitted)
        lines += [f"The weights of the legs are fitted to {names}: if to these very questions, this is in sample.", ""]
    if measured:
        lines += _table(("", *(TITLES[name] for name in one.rows), "ours - better leg", "better leg"))
    for metric in measured:
        values = (_with_interval(row.metrics.get(metric)) for row in one.rows.values())
        gain = one.differences[metric]
        interval = f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        lines.append(_cells(metric, *values, interval, TITLES[gain.over]))
    if measured:
        lines += ["", _latencies(one)]
    lines += _refusals(one)
    lines += _reliability(one)
    lines += _worst(one)
    lines += _answers(one)
    return lines


def _answers(one: SetRun) -> list[str]:
    answers = one.answers
    if answers is None:
        return []
    lines = ["", f"### Answers: {told_of(answers)}", "", *_table(("measure", "", "mean", "95 %", "cases"))]
    for name, value in answers.metrics.items():
        about = measure_named(name).about
        lines.append(_cells(name, about, number(name, value.mean), interval(name, value), str(value.n)))
    lines += ["", *(f"Not measured: {line}." for line in answers.not_measured)]
    if answers.changed:
        lines.append(f"The verifier was probed with {answers.copied} copied and {answers.changed} changed sentences.")
    wrong = [row for row in answers.cases if row.wrong]
    if wrong:
        lines += ["", f"#### What is wrong ({len(wrong)} cases)", ""]
    for row in wrong[:_WRONG]:
        lines.append(f"- {_short(one.questions[row.id].text)} ({row.id}): {'; '.join(map(_short, row.wrong))}")
    return lines


def told_of(answers: Answers) -> str:
    """What the answers were written with, in a few words."""
    written = f"{answers.model} with {answers.prompt}" if answers.model else "extracted, without a model"
    return f"{written}, verified by {answers.grounding}, policy {answers.policy}, asked {answers.repeat} times each"


def number(measure: str, value: float) -> str:
    """A mean of that measure for people."""
    if measure in (TOTAL_MS, TOKENS):
        return f"{value:.0f}"
    return f"{value:.5f}" if measure == COST else f"{value:.3f}"


def interval(measure: str, value: Value) -> str:
    """Its 95 % interval."""
    return f"{number(measure, value.low)}-{number(measure, value.high)}"


def verdict_lines(verdict: Verdict) -> list[str]:
    """What failed, each fall with its worst cases below it, then what was not compared."""
    lines = []
    cases = {str(check): check.worst for check in verdict.fallen}
    for failure in verdict.failures:
        lines.append(failure)
        for one in cases.get(failure, ()):
            why = f" ({'; '.join(map(_short, one.wrong[:_TOP]))})" if one.wrong else ""
            lines.append(f"    {one.before:.3f} → {one.after:.3f} {one.id}: {_short(one.text)}{why}")
    return [*lines, *verdict.notes]


def _latencies(one: SetRun) -> str:
    shown = [
        f"{TITLES[name]} {row.p50_ms:.0f} / {row.p95_ms:.0f} ms"
        for name, row in one.rows.items()
        if row.p50_ms is not None and row.p95_ms is not None
    ]
    return f"Latency p50 / p95: {', '.join(shown)}."


def _refusals(one: SetRun) -> list[str]:
    if one.refusals is None:
        return []
    told = one.refusals
    return [
        "",
        f"Must be refused: {told.must} of {told.must + told.may_not} cases. By `relevance.label == none`: precision "
        f"{told.precision:.3f}, recall {told.recall:.3f}, F1 {told.f1:.3f} ({told.f1_low:.3f}-{told.f1_high:.3f}).",
    ]


def _reliability(one: SetRun) -> list[str]:
    lines = []
    for what, bins in (("`relevance.confidence`", one.confidence), ("`score` of the first document", one.score)):
        if bins is not None:
            lines += ["", f"Expected calibration error of {what}: {bins.error:.3f} ({_bins(bins)})."]
    return lines


def _bins(bins: Bins) -> str:
    return "stated → true: " + ", ".join(f"{stated:.2f} → {true:.2f} of {n}" for n, stated, true in bins.bins)


def _worst(one: SetRun) -> list[str]:
    """Queries on which ours is furthest below the better leg."""
    metric = next(iter(one.differences), None)
    if metric is None:
        return []
    leg = one.rows[one.differences[metric].over]
    pairs = zip(one.rows[OURS].queries, leg.queries, strict=True)
    losses = [(a.metrics[metric] - b.metrics[metric], a, b) for a, b in pairs if metric in a.metrics]
    worst = sorted((loss for loss in losses if loss[0] < 0), key=lambda loss: (loss[0], loss[1].id))
    if not worst:
        return []
    lines = ["", f"### Furthest below the better leg ({metric}; {len(worst)} queries)", ""]
    lines += _table(("query", "ours", "leg", "ours on top", "leg on top"))
    for _, ours, theirs in worst[:_SHOWN]:
        tops = (" / ".join(_titles(one, query)) for query in (ours, theirs))
        text = f"{_short(one.questions[ours.id].text)} ({ours.id})"
        lines.append(_cells(text, f"{ours.metrics[metric]:.3f}", f"{theirs.metrics[metric]:.3f}", *tops))
    return lines


def _titles(one: SetRun, query: QueryRow) -> list[str]:
    return [_short(one.titles.get(uri, uri)) for uri in query.top[:_TOP]]


def _short(text: str) -> str:
    return shorten(text, _SHORT, placeholder=" …")


def _verdict(verdict: Verdict) -> list[str]:
    told = "passed" if verdict.passed else "not passed"
    lines = [f"# Gate: {told}", ""]
    for line in verdict_lines(verdict):
        bare = line.lstrip()
        lines.append(f"- {bare}" if bare == line else f"    - {bare}")
    if verdict.checks:
        heads = ("set", "measure", "before", "after", "difference", "95 %", "cases", "allowed", "p", "")
        lines += ["", *_table(heads)]
    for one in verdict.checks:
        found = one.difference
        values = (number(one.measure, value) for value in (one.before, one.after))
        bounds = f"{found.low:+.4f} to {found.high:+.4f}"
        end = "fell" if one.fell else ""
        judged = (f"{found.mean:+.4f}", bounds, str(found.n), f"{one.tolerance:g}", f"{one.chance.p:.2g}", end)
        lines.append(_cells(one.set, one.measure, *values, *judged))
    return lines


def _sampled(run: Run) -> str:
    options = run.options
    told = "" if options.limit_queries is None else f", at most {options.limit_queries} queries of each set"
    if options.part is not None:
        told += f", {options.part} part of fold {options.fold} of {options.folds}"
    return told


def _with_interval(value: Value | None) -> str:
    return "" if value is None else f"{value.mean:.3f} ({value.low:.3f}-{value.high:.3f})"


def _table(heads: Iterable[str]) -> list[str]:
    names = list(heads)
    return [_cells(*names), "| " + " | ".join("---" for _ in names) + " |"]


def _cells(*values: str) -> str:
    """A row of a table: nothing in a cell ends it."""
    return "| " + " | ".join(" ".join(value.split()).replace("|", "\\|") for value in values) + " |"
