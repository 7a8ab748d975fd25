"""What is in force: of each kind the released value, or what the settings say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingestion.corpus.generation_store import GenerationStore
from service.ledger.releases import ReleaseKind, Releases
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """`value` is None where there is nothing of the kind: no model. `since` is when it was released, if it was."""

    kind: ReleaseKind
    value: str | None
    since: datetime | None


def standings(
    releases: Releases, generations: GenerationStore, settings: ServiceSettings
) -> dict[ReleaseKind, Standing]:
    """What is in force of each kind. A release that this program can't take up is listed all the same."""
    active = releases.active()
    generation = generations.active()
    by_settings = {
        ReleaseKind.GENERATION: None if generation is None else generation.name,
        ReleaseKind.PROMPT: settings.llm.prompt,
        ReleaseKind.MODEL: settings.llm.model if settings.llm.is_configured else None,
    }
    found = {}
    for kind, value in by_settings.items():
        release = active.get(kind)
        # Which generation is searched is what the catalogue says, however it came to be.
        if release is None or (kind is ReleaseKind.GENERATION and release.value != value):
            found[kind] = Standing(kind, value, None)
        else:
            found[kind] = Standing(kind, release.value, release.promoted_at)
    return found
