"""Probes of what verifies answers: sentences copied from the sources, and the same with one exact fact changed.

A verifier that calls everything supported makes every answer look perfect; these tell it from one that works. The same
case over the same documents is probed with the same sentences in every run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ingestion.corpus.records import Chunk, Document
from ingestion.corpus.scope import Scope
from service.generation.answers import SupportLabel
from service.generation.checking.sentences import UnitKind, units_of
from service.generation.citations import leads_in
from service.generation.material import GivenPassage
from service.generation.verification import VerificationQuery, Verifier
from service.quality.answering.measuring import Measured
from service.quality.answering.mutating import CODE, Mutation, mutations
from service.quality.measures import PROBE_CAUGHT, PROBE_KEPT

MOST = 4
"""Sentences of a case: each is verified twice, at some milliseconds."""
KINDS = frozenset({"command", "number", "version", "host", "ip", "port", "path", "error code"})
"""What is changed: facts that are either right or wrong."""
_LONGEST = 400
_LEAST_WORDS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence of a passage, and the same with one thing changed."""

    passage: GivenPassage
    copied: str
    changed: Mutation


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of the probes of one case."""

    measured: Measured
    copied: int
    changed: int


def probes_of(seed: str, document: Document, chunks: Sequence[Chunk]) -> Iterator[Probe]:
    """Probes of one document in an order that `seed` draws; none where nothing exact is said."""
    texts = [chunk.text for chunk in chunks]
    drawn = sorted(
        ((_hash(seed, text), at, text) for at, chunk in enumerate(texts) for text in sentences(chunk)),
        key=lambda entry: entry[0],
    )
    for digest, at, text in drawn:
        if len(text) > _LONGEST or len(re.findall(r"\w+", text)) < _LEAST_WORDS:
            continue
        random = Random(digest)  # noqa: S311 - a choice that is the same in every run, not a secret
        made = [one for one in mutations(text, (), random, each=1) if one.kind in KINDS and not still_true(one, texts)]
        if made:
            titles = (document.title, *chunks[at].heading_path)
            yield Probe(GivenPassage(1, texts[at], titles), text, random.choice(made))


def probe(verifier: Verifier, scope: Scope, probes: Sequence[Probe]) -> Probed | None:
    """The shares that were caught and kept. Blocking. None without probes."""
    if not probes:
        return None
    missed = [one for one in probes if _is_supported(verifier, scope, one.passage, one.changed.text)]
    lost = [one for one in probes if not _is_supported(verifier, scope, one.passage, one.copied)]
    metrics: Mapping[str, float] = {
        PROBE_CAUGHT: 1 - len(missed) / len(probes),
        PROBE_KEPT: 1 - len(lost) / len(probes),
    }
    wrong = [
        f"the verifier missed {one.changed.old!r} → {one.changed.new!r} in {_flat(one.changed.text)!r}"
        for one in missed
    ]
    wrong += [f"the verifier did not know a copy: {_flat(one.copied)!r}" for one in lost]
    return Probed(Measured(metrics, tuple(wrong)), len(probes), len(probes))


def sentences(text: str) -> Iterator[str]:
    """Sentences, list items, table rows and lines of code as an answer would copy them, code in a fence."""
    for unit in units_of(text, code_lines=True):
        raw = text[unit.start : unit.end]
        if unit.kind is UnitKind.HEADING or leads_in(raw):
            continue
        for line in raw.splitlines() if unit.kind is UnitKind.PROSE and " | " in raw else [raw]:
            yield f"```\n{line}\n```" if unit.kind is UnitKind.CODE else line.strip()


def still_true(mutation: Mutation, texts: Sequence[str]) -> bool:
    """Whether the texts hold the changed sentence word for word, or each of its commands as a line or span."""
    said = _bare(mutation.text)
    if mutation.kind != "command":
        return any(said in _bare(text) for text in texts)
    held = {_flat(line) for text in texts for line in re.split(r"[\n`]", text)}
    commands = [match.group("inline") or match.group("block") for match in CODE.finditer(mutation.text)]
    return all(_flat(command) in held for command in commands)


def _is_supported(verifier: Verifier, scope: Scope, passage: GivenPassage, text: str) -> bool:
    cited = f"{text}\n[1]" if text.endswith("```") else f"{text} [1]"
    verified = verifier.verify(scope, VerificationQuery(cited, (passage,)))
    return all(sentence.support.label is SupportLabel.SUPPORTED for sentence in verified.sentences)


def _hash(seed: str, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _bare(text: str) -> str:
    return _flat(re.sub(r"`{3}[^\n]*\n?|`", "", text))


def _flat(text: str) -> str:
    return " ".join(text.split())
