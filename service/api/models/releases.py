"""`/v1/releases`: what is live, since when, and why the ones before it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from ingestion.corpus.catalog_reader import Page
from service.api.models.fields import Cursor, Reply, Request
from service.ledger.releases import Release, ReleaseKind, ReleaseState
from service.releasing.returning import Returned
from service.releasing.standing import Standing

MAX_PAGE = 100


class ShareModel(Reply):
    """How many of how many."""

    bad: float = Field(description="of unsupported sentences the sum of each answer's share")
    of: int


class SignalModel(Reply):
    """A signal before a release and since."""

    before: ShareModel
    since: ShareModel | None = Field(None, description="null while it is not compared")
    rise: float | None = Field(None, description="of the share; negative if it fell")
    at_least: float | None = Field(None, description="lower end of the interval of the rise")
    bound: float | None = Field(None, description="how far it may rise")
    judged: bool = Field(False, description="whether there was enough before and since")


class ReleaseModel(Reply):
    """A generation, prompt or model that was made live in the place of what the settings say."""

    id: str
    kind: ReleaseKind
    value: str
    previous: str | None = Field(description="what it took the place of; null: what the settings say")
    state: ReleaseState
    promoted_at: datetime
    ended_at: datetime | None
    reason: str | None = Field(description="why it ended, for people")
    actor: str = Field(description="who released it")
    forced: str | None = Field(description="why it was released although it did not pass the gate")
    watched_until: datetime | None
    signals: dict[str, SignalModel] = Field(description="by name; of one that ended, as they were then")

    @classmethod
    def of(cls, release: Release, compared: Mapping[str, Mapping[str, Any]] | None = None) -> ReleaseModel:
        """`compared` are the figures of a release that is watched now."""
        watch = release.watch
        since = watch.get("since") or compared or {}
        return cls(
            id=release.id,
            kind=release.kind,
            value=release.value,
            previous=release.previous,
            state=release.state,
            promoted_at=release.promoted_at,
            ended_at=release.ended_at,
            reason=release.reason,
            actor=release.actor,
            forced=watch.get("forced"),
            watched_until=watch.get("until"),
            signals={
                name: SignalModel.model_validate(since.get(name) or {"before": before})
                for name, before in watch.get("before", {}).items()
            },
        )


class LiveModel(Reply):
    """What is in force of one kind."""

    kind: ReleaseKind
    value: str | None = Field(description="null: there is none, as of models without an endpoint")
    released_at: datetime | None = Field(description="null: it is what the settings say, or was switched to")

    @classmethod
    def of(cls, standing: Standing) -> LiveModel:
        return cls(kind=standing.kind, value=standing.value, released_at=standing.since)


class ReleasePage(Reply):
    """What is live, and all releases, newest first; `next_cursor` is null on the last page."""

    live: list[LiveModel]
    releases: list[ReleaseModel]
    next_cursor: str | None

    @classmethod
    def of(
        cls,
        standing: Iterable[Standing],
        page: Page[Release],
        compared: Mapping[str, Mapping[str, Mapping[str, Any]]],
    ) -> ReleasePage:
        """`compared` has the figures of releases that are watched, by id."""
        return cls(
            live=[LiveModel.of(one) for one in standing],
            releases=[ReleaseModel.of(one, compared.get(one.id)) for one in page.items],
            next_cursor=page.next_cursor,
        )


class RollbackModel(Reply):
    """The release that ended. The job switches back to the generation before it; prompt and model need none."""

    release: ReleaseModel
    job_id: str | None

    @classmethod
    def of(cls, returned: Returned) -> RollbackModel:
        return cls(release=ReleaseModel.of(returned.release), job_id=returned.job)


class ReleaseParameters(Request):
    """Which page."""

    cursor: Cursor | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)
