"""`plumbline verify`: verdicts on answers that were written elsewhere, many at a time."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import ConfigurationError, InvalidRequest
from service.cli.console import EXIT_FAILED, err, out, progress, reported, settings
from service.cli.options import ApiKey, Tenant, Url
from service.cli.remote import Remote
from service.cli.wording import SUPPORT_STYLES, reasons_of

if TYPE_CHECKING:
    from ingestion.corpus.records import ChunkId, IndexedChunk

app = typer.Typer()

_AT_ONCE = 20
_MOST_BYTES = 5_000_000
"""What one request to a service may hold, well below its limit."""
_WORST = 5
_SHORT = 90
_LABELS = {"answers": ("grounded", "partial", "ungrounded"), "sentences": tuple(SUPPORT_STYLES)}
_BADNESS = {"contradicted": 0, "unsupported": 1, "partial": 2}

Facts = dict[str, Any]
Verify = Callable[[list[Any]], list[Facts]]
"""The verdict on each item or what is wrong with it, as `POST /v1/verify/batch` tells it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank. `item` is what it says; `trouble` why it says nothing."""

    number: int
    size: int
    item: Any = None
    trouble: str | None = None


@dataclass(slots=True)
class Tally:
    """What all lines came to. `worst` holds (badness, score, line, sentence)."""

    answers: Counter[str] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    bad: list[Facts] = field(default_factory=list)
    worst: list[tuple[int, float, int, Facts]] = field(default_factory=list)

    def add(self, told: Facts) -> None:
        if told["error"] is not None:
            self.bad.append(told)
            return
        result = told["result"]
        self.answers[result["grounding"]["label"] if result["grounding"] else "without a sentence"] += 1
        for sentence in result["sentences"]:
            support = sentence["support"]
            self.sentences[support["label"]] += 1
            if support["label"] in _BADNESS:
                self.worst.append((_BADNESS[support["label"]], support["score"], told["line"], sentence))
        self.worst = sorted(self.worst, key=lambda entry: entry[:3])[:_WORST]

    @property
    def supported(self) -> float:
        """Share of all sentences; 0 if there are none."""
        return self.sentences["supported"] / max(1, self.sentences.total())


@app.command()
def verify(
    file: Annotated[
        str, typer.Argument(help="JSON Lines: a request of POST /v1/verify a line, any `id`; - for standard input.")
    ],
    out_path: Annotated[Path | None, typer.Option("--out", help="Write a verdict for each line here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict for each line.")] = False,
    fail_under: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if less than this share of sentences is supported.")
    ] = None,
    tenant: Tenant = "default",
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Check answers written elsewhere against their passages, sentence by sentence; no language model is involved.

    Ends with 1 if a line was not valid, or if --fail-under is not reached.
    """
    tally = Tally()
    with reported(), ExitStack() as stack:
        lines = _read(file)
        check = _remote(Remote(url, api_key)) if url else _local(stack, Scope(TenantId(tenant)))
        written = stack.enter_context(_opened(out_path)) if out_path else None
        tell = stack.enter_context(progress("verifying", "answers"))
        for done, told in enumerate(_verified(lines, check), start=1):
            tally.add(told)
            text = json.dumps(told, ensure_ascii=False)
            if written:
                written.write(text + "\n")
            if as_json:
                typer.echo(text)
            tell("verifying", done, len(lines))
    _show(tally, to_error=as_json)
    if tally.bad or (fail_under is not None and tally.supported < fail_under):
        raise typer.Exit(EXIT_FAILED)


def _read(file: str) -> list[Line]:
    """The lines that are not blank. Raises: InvalidRequest."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}") from error
    return [_line(number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()]


def _line(number: int, line: bytes) -> Line:
    from pydantic_core import from_json

    try:
        return Line(number, len(line), from_json(line, allow_inf_nan=False))
    except ValueError as error:
        return Line(number, len(line), trouble=f"not JSON: {error}")


def _opened(path: Path) -> Any:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _verified(lines: Iterable[Line], check: Verify) -> Iterator[Facts]:
    """What each line comes to, in order."""
    for group in _groups(lines):
        told = iter(check([line.item for line in group if line.trouble is None]))
        for line in group:
            if line.trouble is None:
                yield {"line": line.number, **next(told)}
            else:
                error = {"code": InvalidRequest.code, "detail": line.trouble, "pointer": None}
                yield {"line": line.number, "id": None, "result": None, "error": error}


def _groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    group: list[Line] = []
    for line in lines:
        if len(group) == _AT_ONCE or (group and sum(one.size for one in group) + line.size > _MOST_BYTES):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _remote(remote: Remote) -> Verify:
    def check(items: list[Any]) -> list[Facts]:
        if not items:
            return []
        told: list[Facts] = remote.call("POST", "/v1/verify/batch", {"items": items}, patient=True)["items"]
        return told

    return check


def _local(stack: ExitStack, scope: Scope) -> Verify:
    """Checks in this process. The corpus is opened only once a line names chunks."""
    from service.api.verifying import verify_item
    from service.generation.checking.entailment.entailment import open_entailment
    from service.generation.checking.grounding import scorers
    from service.generation.verification import Verifier

    opened: list[Any] = []

    def read_chunks(scope: Scope, ids: Collection[ChunkId]) -> Mapping[ChunkId, IndexedChunk]:
        if not opened:
            from ingestion.corpus.corpus import open_corpus

            opened.append(stack.enter_context(open_corpus(settings(quiet=True))))
        found: Mapping[ChunkId, IndexedChunk] = opened[0].get_chunks(scope, ids)
        return found

    verifier = Verifier(read_chunks, scorers(open_entailment()))

    def check(items: list[Any]) -> list[Facts]:
        return [verify_item(verifier, scope, item).model_dump(mode="json") for item in items]

    return check


def _show(tally: Tally, *, to_error: bool) -> None:
    console = err() if to_error else out()
    table = Table("", *(("", "", "", "")), show_header=False, box=None, pad_edge=False)
    for what, counts in (("answers", tally.answers), ("sentences", tally.sentences)):
        known = {label: counts[label] for label in _LABELS[what]} | dict(counts)
        shown = ", ".join(f"{count:,} {label}" for label, count in known.items() if count)
        table.add_row(what, f"{counts.total():,}", shown)
    console.print(table)
    console.print(f"{tally.supported:.1%} of the sentences are supported", highlight=False)
    for _, _, number, sentence in tally.worst:
        support = sentence["support"]
        line = Text(f"line {number}: ")
        line.append(support["label"], style=SUPPORT_STYLES[support["label"]])
        reasons = "; ".join(reasons_of(support["checks"]))
        line.append(f": {shorten(sentence['text'], _SHORT, placeholder=' …')}" + (f"  ({reasons})" if reasons else ""))
        console.print(line, soft_wrap=True, highlight=False)
    for told in islice(tally.bad, _WORST):
        error = told["error"]
        where = f" at {error['pointer']}" if error["pointer"] else ""
        err().print(Text(f"line {told['line']} is not valid{where}: {error['detail']}", style="red"), soft_wrap=True)
    if (more := len(tally.bad) - _WORST) > 0:
        err().print(f"and {more:,} more lines that are not valid", highlight=False)
