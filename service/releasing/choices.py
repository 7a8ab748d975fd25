"""Prompt and model that answers are written with, where a release says otherwise than the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.errors import InvalidRequest
from service.generation.prompts import PromptPurpose, load_prompt
from service.ledger.releases import Release, ReleaseKind
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Choices:
    """What is chosen in the place of the settings; None: the settings hold.

    `generation` is for a candidate only, that is looked at before it is live: the catalogue knows the live one.
    """

    prompt: str | None = None
    model: str | None = None
    generation: str | None = None

    @classmethod
    def of(cls, active: Mapping[ReleaseKind, Release]) -> Choices:
        """What the active releases choose."""
        prompt, model = active.get(ReleaseKind.PROMPT), active.get(ReleaseKind.MODEL)
        return cls(None if prompt is None else prompt.value, None if model is None else model.value)

    def over(self, others: Choices) -> Choices:
        """These, and the others where these say nothing."""
        return Choices(self.prompt or others.prompt, self.model or others.model, self.generation or others.generation)

    def applied(self, settings: ServiceSettings) -> ServiceSettings:
        """The settings with prompt and model as they are chosen.

        Raises: ConfigurationError for a prompt that there is not; InvalidRequest for a model without an endpoint.
        """
        values: dict[str, object] = {}
        if self.prompt is not None:
            values["prompt"] = load_prompt(self.prompt, PromptPurpose.ANSWER).version
        if self.model is not None:
            if not settings.llm.is_configured:
                raise InvalidRequest(
                    f"there is no endpoint to ask the model {self.model!r} at: set PLUMBLINE_LLM__BASE_URL"
                )
            values["model"] = self.model
        return settings.model_copy(update={"llm": settings.llm.model_copy(update=values)}) if values else settings


LIVE = Choices()
"""No candidate: what is released is looked at."""
