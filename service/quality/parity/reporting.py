"""A comparison as JSON for programs, and as one HTML file for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ingestion.errors import ConfigurationError
from service.quality.parity.records import MEANINGS, Missing, Parity, QueryParity, Reason, Way, percentile

_QUERIES_SHOWN = 1_000
_MISSING_SHOWN = 20
_GAINS_SHOWN = 5
LIKELY = 0.5
"""A new document counts as likely relevant from this score on: a score is a probability."""

_WAYS: Mapping[Way, str] = {Way.LIKE: "LIKE", Way.EXACT: "exact search", Way.HYBRID: "hybrid search"}


@dataclass(frozen=True, slots=True)
class Summary:
    """A comparison in numbers. Rows count once for each query that they belong to."""

    queries: int
    rows: int
    found: int
    missing: int
    unexplained: int
    queries_with_new: int
    new: int
    new_likely: int
    empty_like: int
    empty_like_answered: int

    @classmethod
    def of(cls, parity: Parity) -> Summary:
        queries = parity.queries
        gains = [gain for query in queries for gain in query.gains]
        empty = [query for query in queries if query.rows == 0]
        return cls(
            queries=len(queries),
            rows=sum(query.rows for query in queries),
            found=sum(query.exact for query in queries),
            missing=sum(len(query.missing) for query in queries),
            unexplained=sum(query.unexplained for query in queries),
            queries_with_new=sum(bool(query.gains) for query in queries),
            new=len(gains),
            new_likely=sum(gain.score >= LIKELY for gain in gains),
            empty_like=len(empty),
            empty_like_answered=sum(bool(query.gains) for query in empty),
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """One way of asking, in milliseconds per page."""

    way: str
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class _Row:
    """One query as the page shows it."""

    parity: QueryParity
    missing: Sequence[Missing]
    missing_more: int
    likely: int
    gains_more: int
    took: Mapping[str, float | None]


def latencies(parity: Parity) -> tuple[Latency, ...]:
    return tuple(
        Latency(name, parity.percentile_ms(way, 0.5), parity.percentile_ms(way, 0.95)) for way, name in _WAYS.items()
    )


def as_json(parity: Parity) -> str:
    """Everything that was found, every row and every timed run."""
    data: dict[str, Any] = {
        "format": "plumbline-like-parity@1",
        "summary": asdict(Summary.of(parity)),
        "missing_by_reason": dict(parity.missing()),
        "latency": [asdict(one) for one in latencies(parity)],
        **asdict(parity),
        "created_at": parity.created_at.isoformat(),
    }
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def as_html(parity: Parity) -> str:
    """One page that needs nothing beside it: no script, no font, no address elsewhere."""
    templates = Environment(
        loader=PackageLoader("service.quality.parity"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    shown = sorted(parity.queries, key=lambda query: (-query.unexplained, -len(query.missing), -len(query.gains)))
    return templates.get_template("report.html").render(
        parity=parity,
        summary=Summary.of(parity),
        latencies=latencies(parity),
        reasons=[(reason, number, MEANINGS[reason]) for reason, number in parity.missing().items()],
        rows=[_row(query) for query in shown[:_QUERIES_SHOWN]],
        queries_more=max(0, len(shown) - _QUERIES_SHOWN),
        gains_shown=_GAINS_SHOWN,
        likely=LIKELY,
        ways=list(_WAYS.values()),
        unexplained=Reason.UNEXPLAINED,
    )


def write(path: Path, text: str) -> None:
    """Raises: ConfigurationError if the file can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Keys and texts of a database may hold halves of surrogate pairs.
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{path}: the report cannot be written: {error.strerror}") from error


def _row(query: QueryParity) -> _Row:
    unexplained_first = sorted(query.missing, key=lambda one: one.reason is not Reason.UNEXPLAINED)
    return _Row(
        query,
        unexplained_first[:_MISSING_SHOWN],
        max(0, len(query.missing) - _MISSING_SHOWN),
        sum(gain.score >= LIKELY for gain in query.gains),
        max(0, len(query.gains) - _GAINS_SHOWN),
        {name: percentile(query.took_ms.get(way, ()), 0.5) for way, name in _WAYS.items()},
    )
