"""Takes up in a process what was released, whoever released it and in which process."""

from __future__ import annotations

import asyncio

import structlog

from ingestion.errors import ConfigurationError, InvalidRequest
from service.ledger.releases import Releases
from service.releasing.answerers import LiveAnswerer
from service.releasing.choices import Choices
from service.settings import ServiceSettings

log = structlog.get_logger(__name__)

_PATIENCE_S = 30.0


class Follower:
    """Tells what is released, as far as this program can do it. Blocking; for one thread at a time."""

    def __init__(self, releases: Releases, settings: ServiceSettings) -> None:
        self._releases = releases
        self._settings = settings
        self._unusable: Choices | None = None

    def released(self) -> Choices:
        """The choices of the active releases; none where one of them can't be taken up, of which the log tells once.

        So that a program that does not know a prompt which a newer one released answers with what it knows.
        Raises: BackendUnavailable.
        """
        choices = Choices.of(self._releases.active())
        try:
            choices.applied(self._settings)
        except (ConfigurationError, InvalidRequest) as error:
            if choices != self._unusable:
                log.warning("release_unusable", prompt=choices.prompt, model=choices.model, detail=error.detail)
            self._unusable = choices
            return Choices()
        self._unusable = None
        return choices

    def follow(self, live: LiveAnswerer, loop: asyncio.AbstractEventLoop) -> None:
        """Have what is live changed, on its own loop, if something else is released by now."""
        choices = self.released()
        if choices != live.choices:
            asyncio.run_coroutine_threadsafe(live.take_up(choices), loop).result(_PATIENCE_S)
