"""How traces look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import shorten
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from service.cli.wording import SUPPORT_STYLES, degraded, reasons_of, withheld

Facts = Mapping[str, Any]

_STYLES = {
    **dict.fromkeys(("ok", "strong", "grounded"), "green"),
    **dict.fromkeys(("refused", "weak", "partial", "closed"), "yellow"),
    **dict.fromkeys(("none", "ungrounded"), "red"),
}
_LEGS = ("fused", "dense", "sparse", "rerank", "score")
_SHOWN = 15
_ASKED = 100


def show_list(console: Console, traces: Sequence[Facts]) -> None:
    """Two lines for each trace: what became of it, and what was asked. An id is always whole, to be copied."""
    for trace in traces:
        tags = (_tag(trace[name]) for name in ("outcome", "relevance", "grounding") if trace[name])
        when = (trace["id"], _moment(trace["at"]), trace["operation"])
        line = Text("  ").join([*map(Text, when), *tags, Text(_ms(trace["total_ms"]), style="dim")])
        console.print(line, soft_wrap=True)
        console.print(Text(f"    {shorten(_asked(trace), _ASKED, placeholder=' …')}"), soft_wrap=True)


def show_trace(console: Console, trace: Facts) -> None:
    """All of one trace, what it has not got left out."""
    body = trace["body"]
    _say(console, _asked(trace), "bold")
    if body.get("standing") and body["standing"].split() != (trace["query"] or "").split():
        _say(console, f"understood as: {' / '.join(body['standing'].splitlines())}", "dim")
    _show_facts(console, trace)
    for sentence in body.get("sentences") or ():
        _show_sentence(console, sentence)
    for citation in body.get("citations") or ():
        span = citation["span"]
        _say(
            console, f"[{citation['n']}] {citation['title']}, {citation['uri']} ({span['start']}-{span['end']})", "dim"
        )
    for search in body.get("searches") or [body]:
        _show_candidates(console, search)
    for decision in body.get("decisions") or ():
        reasons = "; ".join(decision["reasons"])
        _say(console, f"{decision['step']}: {decision['choice']}{f' ({reasons})' if reasons else ''}", "dim")
    for call in trace["model_calls"]:
        _show_call(console, call)
    for given in trace["feedback"]:
        _show_feedback(console, given)


def _show_facts(console: Console, trace: Facts) -> None:
    table = Table(
        Column(style="dim", no_wrap=True), Column(overflow="fold"), show_header=False, box=None, pad_edge=False
    )
    body = trace["body"]
    confidence = "" if trace["confidence"] is None else f" (confidence {trace['confidence']:.2f})"
    tokens = "" if trace["prompt_tokens"] is None else f"{trace['prompt_tokens']:,} + {trace['completion_tokens']:,}"
    rows: dict[str, str | Text] = {
        "id": trace["id"],
        "query id": trace["query_id"] if trace["query_id"] != trace["id"] else "",
        "at": trace["at"],
        "asked by": trace["key_id"] or "",
        "request": trace["request_id"] or "",
        "collection": trace["collection"] or "",
        "outcome": Text.assemble(trace["operation"], " ", _tag(trace["outcome"]), f", {trace['hits']} passages"),
        "relevance": Text.assemble(_tag(trace["relevance"]), confidence) if trace["relevance"] else "",
        "grounding": _grounding(trace),
        "degraded": _degraded(trace),
        "model": " ".join(filter(None, (trace["model"], trace["tier"], trace["prompt_version"]))),
        "tokens": tokens,
        "cost": "" if trace["cost_usd"] is None else f"${trace['cost_usd']:.4f}",
        "index": " ".join(filter(None, (trace["index_version"], trace["embedder"]))),
        "time": ", ".join([_ms(trace["total_ms"]), *_stages(trace["timings"])]),
        "filter": str(body["filter"]) if body.get("filter") else "",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(value))
    console.print(table)


def _grounding(trace: Facts) -> str | Text:
    if trace["grounding"] is None:
        return ""
    told = f" ({trace['grounding_score']:.2f}), {trace['unsupported']} of {trace['sentences']} sentences not supported"
    left_out = withheld(trace["body"])
    return Text.assemble(_tag(trace["grounding"]), told, f", {left_out}" if left_out else "")


def _degraded(trace: Facts) -> str:
    if trace["refusal"]:
        return f"refused: {trace['refusal']}"
    if not trace["degraded"]:
        return ""
    return degraded({"reason": trace["degraded"], "mode": trace["degraded_mode"]}, answered=trace["outcome"] == "ok")


def _show_sentence(console: Console, sentence: Facts) -> None:
    support = sentence["support"]
    style = SUPPORT_STYLES[support["label"]]
    line = Text("- " + (sentence["text"] or "(its words are not kept)"))
    line.append(f" {''.join(f'[{n}]' for n in sentence['citations'])} {support['label']}", style=style)
    if support["label"] != "supported" and (reasons := reasons_of(support["checks"])):
        line.append(f": {'; '.join(reasons)}", style=style)
    console.print(line, soft_wrap=True)


def _show_candidates(console: Console, search: Facts) -> None:
    candidates = search.get("candidates") or ()
    if not candidates:
        return
    legs = [leg for leg in _LEGS if any(one.get(leg) is not None for one in candidates)]
    titles = {one["chunk_id"]: one["title"] or one["uri"] for one in search.get("passages") or ()}
    numbers = [Column(leg, justify="right", no_wrap=True) for leg in legs]
    table = Table(
        Column("#", justify="right"),
        *numbers,
        Column("chunk", no_wrap=True, overflow="ellipsis"),
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for place, one in enumerate(candidates[:_SHOWN], start=1):
        cells = ["" if one.get(leg) is None else f"{one[leg]:.3f}" for leg in legs]
        table.add_row(str(place), *cells, Text(titles.get(one["chunk_id"], one["chunk_id"])))
    console.print(table)
    if len(candidates) > _SHOWN:
        _say(console, f"and {len(candidates) - _SHOWN} more candidates (--json has them)", "dim")


def _show_call(console: Console, call: Facts) -> None:
    cost = "" if call["cost_usd"] is None else f", ${call['cost_usd']:.4f}"
    tokens = f"{call['prompt_tokens'] or 0:,} + {call['completion_tokens'] or 0:,} tokens"
    what = f"{call['model']} for {call['purpose']}: {call['outcome']}"
    _say(console, f"{what}, {tokens}{cost}, {_ms(call['duration_ms'])}", "dim")


def _show_feedback(console: Console, given: Facts) -> None:
    said = given["rating"] or given["outcome"] or (given["rank"] and f"rank {given['rank']}") or ""
    line = f"feedback: {given['kind']} {said}".rstrip() + (f": {given['text']}" if given["text"] else "")
    _say(console, line, "yellow" if given["rating"] == "down" or given["kind"] == "correction" else "green")


def _asked(trace: Facts) -> str:
    return " ".join((trace["query"] or "(its words are not kept)").split())


def _stages(timings: Mapping[str, float]) -> Iterable[str]:
    return (f"{stage} {_ms(spent)}" for stage, spent in timings.items() if stage != "total" and spent)


def _tag(value: str | None) -> Text:
    return Text(value or "", style=_STYLES.get(value or "", "red" if value else ""))


def _moment(at: str) -> str:
    return datetime.fromisoformat(at).strftime("%m-%d %H:%M:%S")


def _ms(value: float) -> str:
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.1f} ms"


def _say(console: Console, line: str, style: str) -> None:
    console.print(Text(line, style=style), highlight=False, soft_wrap=True)
