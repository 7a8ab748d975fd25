"""The way back from a release, by hand or because the watch found it worse than what was before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from ingestion.corpus.generation_store import GenerationStore
from ingestion.corpus.versions import GenerationState
from ingestion.errors import NotFound
from service.ledger.audit import SERVICE
from service.ledger.releases import Release, ReleaseKind, Releases, ReleaseState

log = structlog.get_logger(__name__)

RETURNED = "returned"
"""In `watch` of a generation that was gone back from: whether the one before it is searched again."""

SwitchTo = Callable[[str], str | None]
"""Makes a generation the one that is searched; returns the id of the job that does it, None if it is done already."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The release that ended. `job` goes on with it: a generation is brought up to date before it is searched."""

    release: Release
    job: str | None


class WayBack:
    """Ends releases and brings back what was before them. Safe from several threads and processes."""

    def __init__(self, releases: Releases, generations: GenerationStore, switch_to: SwitchTo) -> None:
        self._releases = releases
        self._generations = generations
        self._switch_to = switch_to

    def take(self, kind: ReleaseKind, by: str) -> Returned:
        """Go back from the active release of that kind, because `by` says so.

        Raises: NotFound if there is none, or nothing to go back to; as `SwitchTo`.
        """
        release = self._releases.active().get(kind)
        found = None if release is None else self.leave(release, f"by hand ({by})", by=by)
        if found is None:
            raise NotFound(f"no {kind} is released: what the settings say is live, and there is no way back from it")
        return found

    def leave(
        self, release: Release, reason: str, watch: Mapping[str, Any] | None = None, by: str = SERVICE
    ) -> Returned | None:
        """Go back from a release; None if it is not active any more, or someone else is doing it.

        The row says so first. A generation is switched to after it, and by `settle` if the process dies in between.
        Raises: NotFound if the generation before it is not kept; as `SwitchTo`.
        """
        if release.kind is ReleaseKind.GENERATION:
            self._check_kept(release.previous)
        if not self._releases.end(release, reason, watch, by):
            return None
        log.warning(
            "release_rolled_back",
            kind=release.kind.value,
            value=release.value,
            back_to=release.previous or "settings",
            reason=reason,
        )
        job = self._switch_back(release)
        return Returned(self._releases.get(release.id), job)

    def settle(self) -> None:
        """Finish what was begun with generations, here or elsewhere, and end a release that someone switched away from.

        Raises: as `SwitchTo`.
        """
        active = self._generations.active()
        if active is None:
            return
        left = self._releases.latest(ReleaseKind.GENERATION, ReleaseState.ROLLED_BACK)
        if left is not None and not left.watch.get(RETURNED):
            if active.name == left.value:
                self._switch_back(left)
                return
            self._releases.note(left, **{RETURNED: True})
        release = self._releases.active().get(ReleaseKind.GENERATION)
        if release is not None and release.value != active.name:
            self._releases.supersede(release, f"{active.name} was switched to without a release")

    def _switch_back(self, release: Release) -> str | None:
        if release.kind is not ReleaseKind.GENERATION or release.previous is None:
            return None
        job = self._switch_to(release.previous)
        if job is None:
            self._releases.note(release, **{RETURNED: True})
        return job

    def _check_kept(self, name: str | None) -> None:
        generation = None if name is None else self._generations.get(name)
        if generation is None or generation.state is GenerationState.DROPPED:
            raise NotFound(f"generation {name} is not kept any more: there is nothing to go back to")
