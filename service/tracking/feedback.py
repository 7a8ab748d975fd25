"""Takes feedback: joins it to the trace that it is about, checks that it fits what was shown there, and keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ingestion.corpus.scope import TenantId
from ingestion.errors import Conflict, InvalidRequest, NotFound
from service.ledger.feedback import Feedback, FeedbackRecord, Kind, Rating
from service.ledger.masking import Masker
from service.ledger.metrics import FEEDBACK, Metrics
from service.ledger.recording import Recorder
from service.ledger.traces import Operation, Trace, Traces
from service.settings import LedgerSettings
from service.tracking.shown import Shown, shown

_NAMED = 10
"""Chunks that an error names at most."""


class Subject(StrEnum):
    """What feedback is about; the name of the id's field."""

    QUERY = "query_id"
    ANSWER = "answer_id"
    TRIAGE = "triage_id"


@dataclass(frozen=True, slots=True)
class GivenFeedback:
    """Feedback as it was given. What its kind has not got is None."""

    subject: Subject
    id: str
    kind: Kind
    chunk_id: str | None = None
    rank: int | None = None
    rating: Rating | None = None
    text: str | None = None
    outcome: str | None = None
    key_id: str | None = None


class FeedbackTaker:
    """Safe from several threads."""

    def __init__(
        self,
        feedback: Feedback,
        traces: Traces,
        recorder: Recorder,
        masker: Masker,
        metrics: Metrics,
        settings: LedgerSettings,
    ) -> None:
        self._feedback = feedback
        self._traces = traces
        self._recorder = recorder
        self._masker = masker
        self._metrics = metrics
        self._settings = settings

    def take(self, tenant: TenantId, given: GivenFeedback) -> FeedbackRecord:
        """What was stored. `rank` is that of the trace; of the words what may be kept of them.

        Raises: NotFound if there is no such trace, InvalidRequest if it showed no such chunk, or elsewhere; Conflict
        while no traces are kept.
        """
        trace = self.trace(tenant, given.id, given.subject)
        rank = given.rank
        if given.chunk_id is not None:
            rank = _rank(trace, given.chunk_id, given.rank)
        record = FeedbackRecord(
            tenant=tenant,
            trace_id=trace.id,
            kind=given.kind.value,
            chunk_id=given.chunk_id,
            rank=rank,
            rating=given.rating,
            text=None if given.text is None else self._masker.content(given.text),
            outcome=given.outcome,
            key_id=given.key_id,
        )
        self._feedback.add(record)
        self._metrics.count(FEEDBACK, given.kind, given.rating or "none")
        return record

    def trace(self, tenant: TenantId, id_: str, subject: Subject = Subject.QUERY) -> Trace:
        """The trace that feedback is about, waited for if it is on its way. Raises: as `take`."""
        try:
            trace = self._found(lambda: self._traces.get(tenant, id_))
        except NotFound as error:
            if not self._settings.enabled:
                raise Conflict(
                    "no traces are kept, so there is nothing that feedback could be joined to: set "
                    "PLUMBLINE_LEDGER__ENABLED"
                ) from error
            kept = f"older than {self._settings.trace_days} days" if self._settings.trace_days else "deleted"
            raise NotFound(
                f"no trace with the {subject} {id_!r}: the id is not one that this service gave out, or the "
                f"trace is {kept}, or was dropped under load (plumbline_ledger_dropped_total)"
            ) from error
        if subject is Subject.ANSWER and trace.operation != Operation.ANSWER:
            raise InvalidRequest(f"this is the id of a {trace.operation}: give it as query_id", pointer="/answer_id")
        return trace

    def _found(self, get: Callable[[], Trace]) -> Trace:
        """A trace is written a moment after its response: one that is not there yet is waited for."""
        try:
            return get()
        except NotFound:
            self._recorder.flush()
            return get()


def _rank(trace: Trace, chunk_id: str, given: int | None) -> int:
    places = shown(trace)
    rank = next((one.rank for one in places if one.chunk_id == chunk_id), None)
    if rank is None:
        raise InvalidRequest(
            f"this {trace.operation} did not show the chunk {chunk_id!r}; it showed {_names(places)}",
            pointer="/chunk_id",
        )
    if given is not None and given != rank:
        raise InvalidRequest(f"this chunk was shown at rank {rank}: leave rank out, or send that", pointer="/rank")
    return rank


def _names(places: tuple[Shown, ...]) -> str:
    if not places:
        return "none"
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return ", ".join(place.chunk_id for place in places[:_NAMED]) + more
