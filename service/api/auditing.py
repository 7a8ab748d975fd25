"""What a request tells the audit log: who does what, and who was refused."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from service.access.keys import PREFIX
from service.access.principals import Principal
from service.api.access import Anyone, Running
from service.api.problems import request_id_of
from service.errors import AccessDenied
from service.ledger.audit import SERVICE_CHAIN, Action, Audit, Later, Note, Question, actor_of
from service.ledger.recording import Recorder

_KEY_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class Acting:
    """One request in the eyes of the audit log."""

    audit: Audit
    recorder: Recorder
    principal: Principal
    request_id: str
    questions: bool

    @property
    def actor(self) -> str:
        return actor_of(self.principal.key_id)

    def change(
        self, action: Action, subject: str | None = None, *, shared: bool = False, **detail: Any
    ) -> AbstractContextManager[None]:
        """Announce what the context does; blocking. `shared`: it is about what all tenants share.

        Raises: AuditUnavailable before anything is changed.
        """
        return self.audit.change(self._note(action, subject, shared, detail))

    def told(self, action: Action, subject: str | None = None, **detail: Any) -> None:
        """Have it written a moment later, off the path of the response: what only read, or can be done again."""
        note = self._note(action, subject, False, detail)
        self.recorder.record(lambda: Later(note))

    def asked(self, operation: str) -> None:
        """A question that has no trace: its id is that of the request."""
        if self.questions:
            question = Question(self.principal.tenant, self.actor, operation, self.request_id, datetime.now(UTC))
            self.recorder.record(lambda: Later(question))

    def _note(self, action: Action, subject: str | None, shared: bool, detail: dict[str, Any]) -> Note:
        about = {"request_id": self.request_id, **detail}
        if shared:
            return Note(SERVICE_CHAIN, self.actor, action, subject, {"tenant": self.principal.tenant, **about})
        return Note(self.principal.tenant, self.actor, action, subject, about)


# `async` although it awaits nothing: FastAPI runs a plain function in a thread, which costs more than the function.
async def acting_of(request: Request, principal: Anyone, runtime: Running) -> Acting:
    """The caller of this request, for the audit log."""
    questions = runtime.settings.audit.questions
    return Acting(runtime.audit, runtime.recorder, principal, request_id_of(request), questions)


Audited = Annotated[Acting, Depends(acting_of)]


def refused(request: Request, error: AccessDenied) -> None:
    """Have a refusal written to the chain of whoever called, or to the service's if nobody knows who that was."""
    runtime = request.state.runtime
    principal: Principal | None = getattr(request.state, "principal", None)
    chain = SERVICE_CHAIN if principal is None else principal.tenant
    actor = "unknown" if principal is None else actor_of(principal.key_id)
    about = {
        "request_id": request_id_of(request),
        "method": request.method,
        "route": getattr(request.scope.get("route"), "path", "other"),
        "client": request.client.host if request.client else None,
        "key": _claimed(request.headers.get("authorization", "")),
    }
    note = runtime.refusals.note(chain, actor, error.code, about)
    if note is not None:
        runtime.recorder.record(lambda: Later(note))


def _claimed(authorization: str) -> str | None:
    """The id of the key that was shown, which is no secret; None if what was shown does not look like one."""
    token = authorization[len("Bearer ") :].strip()
    id_, underscore, _ = token.removeprefix(PREFIX).partition("_")
    plain = token.startswith(PREFIX) and underscore and len(id_) <= _KEY_ID_CHARS and id_.isalnum()
    return id_ if plain else None
