"""What is found of contradictions that were planted into copies of real sentences, and what of harmless differences.

`python -m benchmarks.contradictions` prints the tables of docs/quality/gaps.md. For each chosen sentence of a
collection one document is added that says the same with another value, and several whose difference is harmless: the
same value in other words or another unit, another product, another environment, an example, a page that says of itself
that it was replaced. `--data DIR` keeps the corpora; `--show` prints what is told of the collection itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from benchmarks.corpora import SCOPE, eval_data, sample_documents
from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.records import Document, DocumentId, DocumentSource, IndexedChunk, chunk_id
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings
from service.generation.checking.evidence import Evidence, EvidenceUnit, Reader
from service.generation.checking.factkinds import Fact, FactKind
from service.generation.checking.facts import read_facts
from service.generation.checking.sentences import UnitKind
from service.quality.knowledge.contradictions import Contradictions, find_contradictions
from service.quality.knowledge.health import current_documents
from service.settings import ServiceSettings

SENTENCES = 60
LEAST_WORDS = 6
_CHANGED = (FactKind.NUMBER, FactKind.TIME, FactKind.VERSION, FactKind.COMMAND, FactKind.IDENTIFIER)
_REWORDED = (
    (r"\bmust\b", "should"), (r"\bshould\b", "must"), (r"\bwait\b", "pause"), (r"\bcheck\b", "verify"),
    (r"\bthen\b", "afterwards"), (r"\brun\b", "execute"), (r"\bis\b", "was"), (r"\buse\b", "take"),
    (r"\bfirst\b", "at first"), (r"\bthe\b", "our"), (r"\band\b", "as well as"), (r"\bfor\b", "during"),
)  # fmt: skip
_CONVERTED = (
    (re.compile(r"\b(\d+) seconds\b"), lambda found: f"{int(found[1]) * 1000} ms"),
    (re.compile(r"\b(\d+) minutes\b"), lambda found: f"{int(found[1]) * 60} seconds"),
    (re.compile(r"\b(\d+) hours\b"), lambda found: f"{int(found[1]) * 60} minutes"),
    (re.compile(r"\b(\d+) days\b"), lambda found: f"{int(found[1]) * 24} hours"),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sentence with an exact fact, what stands around it, and the sentence with another value."""

    chunk: IndexedChunk
    before: str
    text: str
    after: str
    changed: str
    kind: FactKind


@dataclass(frozen=True, slots=True)
class Planted:
    """A document that was added: why, and to which it belongs."""

    source: DocumentSource
    kind: str
    origin: DocumentId
    fact: FactKind
    text: str


def choose(corpus: Corpus, wanted: int, seed: int) -> list[Chosen]:
    """Sentences and list items of the corpus with a fact that can be changed, at most two of a document."""
    reader = Reader()
    found = []
    for document in current_documents(corpus, SCOPE):
        assert document.version is not None
        ids = [chunk_id(document.key, document.version, at) for at in range(document.chunk_count)]
        for chunk in corpus.get_chunks(SCOPE, ids).values():
            units = Evidence.of(reader, chunk).units
            for at, unit in enumerate(units):
                if (changed := _changed(unit)) is not None:
                    before, after = units[at - 1].text if at else "", units[at + 1].text if at + 1 < len(units) else ""
                    found.append(Chosen(chunk, before, unit.text, after, *changed))
    random.Random(seed).shuffle(found)
    taken: Counter[str] = Counter()
    chosen = []
    for one in found:
        taken[one.chunk.document.key] += 1
        if taken[one.chunk.document.key] <= 2:
            chosen.append(one)
    return chosen[:wanted]


def _changed(unit: EvidenceUnit) -> tuple[str, FactKind] | None:
    """The unit with another value of its first fact that can have one, and the kind of the fact."""
    if unit.kind not in (UnitKind.PROSE, UnitKind.ITEM) or len(unit.text.split()) < LEAST_WORDS:
        return None
    read = read_facts(unit.text)
    # Where a link leads is not what the sentence says.
    if read.text != unit.text or "](" in unit.text or "://" in unit.text:
        return None
    for found in read.found:
        if found.fact.kind not in _CHANGED or not _is_exact(found.fact):
            continue
        written = unit.text[found.start : found.end]
        other = _other(written, found.fact.kind)
        if other is not None:
            return unit.text[: found.start] + other + unit.text[found.end :], found.fact.kind
    return None


def _is_exact(fact: Fact) -> bool:
    """Whether it is a number with a unit, a version, a time, a command, a host or a path: not the name of a thing."""
    if fact.kind is FactKind.NUMBER:
        return fact.shape != ""
    return fact.kind is not FactKind.IDENTIFIER or re.search(r"\w[.:@]\w|/\w", fact.value) is not None


def _other(written: str, kind: FactKind) -> str | None:
    """Another value of the same form."""
    if kind is FactKind.COMMAND:
        words = written.strip("`").split()
        if "\n" in written or len(words) < 2:
            return None
        return f"`{' '.join([*words[:-1], _other_name(words[-1])])}`"
    if digits := re.search(r"\d+", written):
        value = int(digits[0]) + max(1, int(digits[0]) // 2)
        if kind is FactKind.TIME:
            value = (int(digits[0]) + 3) % 24
        return written[: digits.start()] + str(value) + written[digits.end() :]
    return _other_name(written) if kind is FactKind.IDENTIFIER else None


def _other_name(written: str) -> str:
    if digits := re.search(r"\d+", written):
        return written[: digits.start()] + str(int(digits[0]) + 7) + written[digits.end() :]
    return re.sub(r"[A-Za-z]+(?=\W*$)", "ledgerbase", written, count=1)


def plant(number: int, chosen: Chosen, drawn: random.Random) -> Iterator[Planted]:
    """One contradiction and the harmless differences of a sentence."""
    title = chosen.chunk.document.title
    pages = (title, f"Notes on {title}", f"{title} - quick reference")
    worded = _reworded(chosen.changed, drawn) if number % 2 else chosen.changed
    yield _page(number, f"contradiction, {'reworded' if number % 2 else 'copied'}", chosen, worded, drawn.choice(pages))
    yield _page(number, "same value, reworded", chosen, _reworded(chosen.text, drawn), drawn.choice(pages))
    converted = next(
        (pattern.sub(other, chosen.text) for pattern, other in _CONVERTED if pattern.search(chosen.text)), ""
    )
    if converted:
        yield _page(number, "same value, other unit", chosen, converted, drawn.choice(pages))
    product = drawn.choice(("Harbourmaster", "Quillfeather", "Stonebridge"))
    renamed = chosen.changed
    for word in re.findall(r"\w{4,}", title):
        renamed = renamed.replace(word, product)
    yield _page(number, "other product", chosen, renamed, f"{product} runbook", chapter=product)
    place = drawn.choice(("staging", "the development environment", "the demo system"))
    yield _page(number, "other environment", chosen, _begun(f"In {place}: ", chosen.changed), drawn.choice(pages))
    yield _page(number, "example", chosen, _begun("For example: ", chosen.changed), drawn.choice(pages))
    replaced = _page(number, "says it was replaced", chosen, chosen.changed, title)
    yield replace(replaced, source=replace(replaced.source, metadata={"status": "superseded"}))


def _begun(words: str, text: str) -> str:
    """The text with the words before it, behind the mark of a list item."""
    return re.sub(r"^((?:[-*+]|\d{1,3}[.)])[ \t]+)?", lambda mark: f"{mark[0]}{words}", text, count=1)


def _page(number: int, kind: str, chosen: Chosen, text: str, title: str, chapter: str | None = None) -> Planted:
    document = chosen.chunk.document
    heading = chapter or (chosen.chunk.chunk.heading_path[-1] if chosen.chunk.chunk.heading_path else title)
    body = f"# {title}\n\n## {heading}\n\n{chosen.before}\n\n{text}\n\n{chosen.after}\n"
    id_ = DocumentId(f"planted/{number}-{kind.replace(' ', '-').replace(',', '')}.md")
    source = DocumentSource(id_, id_, "page.md", body.encode(), title=title, media_type="text/markdown")
    return Planted(source, kind, document.id, chosen.kind, f"{text} <- {chosen.text} [{title}]")


def _reworded(text: str, drawn: random.Random) -> str:
    """The text with one or two words replaced outside of code."""
    fitting = [
        (pattern, other) for pattern, other in _REWORDED if re.search(pattern, re.sub(r"`[^`]*`", "", text), re.I)
    ]
    for pattern, other in drawn.sample(fitting, min(2, len(fitting))):
        text = re.sub(rf"(?<!`){pattern}(?!`)", other, text, count=1, flags=re.IGNORECASE)
    return text


def report(name: str, corpus: Corpus, parser: DocumentParser, *, show: bool) -> None:
    """Print what is told of the collection as it is, and then with what was planted."""
    began = perf_counter()
    plain = _find(corpus)
    seconds = perf_counter() - began
    print(
        f"\n### {name}: {plain.chunks} passages, {plain.pairs} pairs in {seconds:.1f} s; "
        f"{len(plain.found)} contradictions of its own\n"
    )
    for each in plain.found if show else ():
        print(f"- {each.conflict.one} | {each.conflict.other}: {each.one.text!r} ({each.one.document.id}) | "
              f"{each.other.text!r} ({each.other.document.id})")  # fmt: skip
    drawn = random.Random(7)
    planted = [page for at, one in enumerate(choose(corpus, SENTENCES, 3)) for page in plant(at, one, drawn)]
    pages = {page.source.id: page for page in planted}
    own = {document.id for document in current_documents(corpus, SCOPE)}
    # Each kind by itself: of two pages that were planted for one sentence one would contradict the other.
    rows = {}
    for kind in dict.fromkeys(page.kind for page in planted):
        mine = [page for page in planted if page.kind == kind]
        list(Pipeline(corpus, parser).ingest(SCOPE, [page.source for page in mine]))
        found = _find(corpus)
        told = {frozenset((each.one.document.id, each.other.document.id)) for each in found.found}
        hits = {page.source.id for page in mine if frozenset((page.source.id, page.origin)) in told}
        strays = [pair for pair in told if pair & pages.keys() and not any(id_ in hits for id_ in pair)]
        rows[kind] = (mine, hits, strays)
        corpus.writer.delete_all(SCOPE, [corpus.get_document(SCOPE, page.source.id).key for page in mine])
    assert own == {document.id for document in current_documents(corpus, SCOPE)}
    print("| planted | pages | told | of another page |\n| --- | ---: | ---: | ---: |")
    for kind, (mine, hits, strays) in rows.items():
        print(f"| {kind} | {len(mine)} | {len(hits)} | {len(strays)} |")
    real = [row for kind, row in rows.items() if kind.startswith("contradiction")]
    right, wanted = sum(len(hits) for _, hits, _ in real), sum(len(mine) for mine, _, _ in real)
    wrong = sum(len(strays) for _, _, strays in rows.values())
    wrong += sum(len(hits) for kind, (_, hits, _) in rows.items() if not kind.startswith("contradiction"))
    print(f"\nrecall {right}/{wanted} = {right / wanted:.2f}, precision {right}/{right + wrong} = "
          f"{right / max(1, right + wrong):.2f}")  # fmt: skip
    by_kind = Counter(page.fact for mine, _, _ in real for page in mine)
    hit = Counter(pages[id_].fact for _, hits, _ in real for id_ in hits)
    for kind, (mine, hits, _) in rows.items() if show else ():
        for page in mine if kind.startswith("contradiction") else ():
            if page.source.id not in hits:
                print(f"- missed: {page.origin}: {page.text!r}")
        for page in () if kind.startswith("contradiction") else mine:
            if page.source.id in hits:
                print(f"- wrong: {page.origin}: {page.text!r}")
    print("recall by kind of fact: " + ", ".join(f"{kind} {hit[kind]}/{by_kind[kind]}" for kind in by_kind), flush=True)


def _find(corpus: Corpus) -> Contradictions:
    documents: list[Document] = current_documents(corpus, SCOPE)
    with corpus.pinned() as view:
        return find_contradictions(view, SCOPE, documents)


def runbooks(name: str) -> Iterator[DocumentSource]:
    with gzip.open(eval_data() / "retrieval" / name / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield DocumentSource(
                DocumentId(row["id"]), row["id"], "page.md", row["text"].encode(), title=row["title"] or None,
                media_type="text/markdown",
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder for the corpora")
    parser.add_argument("--show", action="store_true", help="print what is told of the collections themselves")
    parser.add_argument("--only", help="one collection")
    arguments = parser.parse_args()
    collections: dict[str, Callable[[], Iterable[DocumentSource]]] = {
        "sample_docs": sample_documents,
        "runbooks_kubeprom": lambda: runbooks("runbooks_kubeprom"),
        "runbooks_openshift": lambda: runbooks("runbooks_openshift"),
    }
    models_dir = ServiceSettings().models_path
    with tempfile.TemporaryDirectory() as scratch:
        for name, documents in collections.items():
            if arguments.only and arguments.only != name:
                continue
            settings = Settings(data_dir=(arguments.data or Path(scratch)) / name, models_dir=models_dir)
            with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as reading:
                if not corpus.list_documents(SCOPE, DocumentQuery(), limit=1).items:
                    list(Pipeline(corpus, reading).ingest(SCOPE, documents()))
                report(name, corpus, reading, show=arguments.show)


if __name__ == "__main__":
    main()
