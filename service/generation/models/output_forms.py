"""How an endpoint is asked for JSON, found out once for each endpoint. Leaves the asking to `providers`.

OpenAI, vLLM and Ollama take `json_schema`; llama-cpp-python fails on that and takes `json_object` with a schema;
others take neither, and some take either and ignore it. What an endpoint answers is the only way to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import structlog

from service.generation.models.llm import Structured
from service.settings import LLMOutput

log = structlog.get_logger(__name__)

_REJECTIONS = frozenset({400, 404, 415, 422, 500, 501})
_CERTAIN = 2
"""Calls in which a form failed with a server error while another worked: one alone may have been an accident."""


class OutputForm(StrEnum):
    """Ways to ask for the same answer, the strictest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"

    def response_format(self, structured: Structured) -> dict[str, Any]:
        """The request's field of that name."""
        schema = dict(structured.schema)
        if self is OutputForm.JSON_SCHEMA:
            return {
                "type": "json_schema",
                "json_schema": {"name": structured.name, "strict": True, "schema": schema},
            }
        return {"type": "json_object", "schema": schema}


_FORMS = tuple(OutputForm)


class OutputForms:
    """What is known of one endpoint. Nothing in it awaits, so calls on one event loop may share it.

    Only what an endpoint did is remembered: a form that worked at once, one that another had to stand in for, one
    that was ignored. Where all forms failed, the fault lies elsewhere and nothing is learnt.
    """

    def __init__(self, output: LLMOutput) -> None:
        self._output = output
        self._known: OutputForm | None = OutputForm.TEXT if output is LLMOutput.TEXT else None
        self._accidents = 0

    def to_try(self, structured: Structured | None) -> tuple[OutputForm, ...]:
        """Forms for one call in the order in which they should be tried; never empty."""
        if structured is None:
            return (OutputForm.TEXT,)
        forms = _FORMS if self._known is None else _FORMS[_FORMS.index(self._known) :]
        return tuple(form for form in forms if form is not OutputForm.TEXT) if self._is_forced else forms

    def worked(self, form: OutputForm, rejections: Sequence[int]) -> None:
        """The endpoint wrote JSON under `form`, or text under `TEXT`, after it had rejected the forms before it."""
        if not rejections:
            self._remember(form)  # proof, whatever was concluded meanwhile
            return
        if max(rejections) >= 500:
            self._accidents += 1
            if self._accidents < _CERTAIN:
                return
        self._remember(form)

    def ignored(self, form: OutputForm) -> None:
        """The endpoint took the form and wrote something other than JSON."""
        log.warning("model_ignores_output_form", form=form)
        if not self._is_forced:
            self._remember(OutputForm.TEXT)

    @property
    def _is_forced(self) -> bool:
        return self._output is LLMOutput.SCHEMA

    def _remember(self, form: OutputForm) -> None:
        if form is not self._known:
            log.info("model_output_form", form=form, before=self._known)
        self._known = form


def is_rejection(status: int) -> bool:
    """Whether an endpoint that answers so may just not know the form that it was asked in."""
    return status in _REJECTIONS
