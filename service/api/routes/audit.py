"""`/v1/audit`: who did what in a tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.api.access import Administering, Running
from service.api.auditing import Audited
from service.api.models.audit import AuditEntry, AuditPage, AuditParameters
from service.api.problems import RESPONSES
from service.api.replies import reply
from service.ledger.audit import Action

router = APIRouter(tags=["audit"], responses=RESPONSES)


@router.get("/v1/audit", response_model=AuditPage, summary="Read the audit log")
def read_audit(
    parameters: Annotated[AuditParameters, Query()], principal: Administering, runtime: Running, acting: Audited
) -> Response:
    """The tenant's chain, oldest first. Without a filter its entries can be verified as they come; each reading adds
    an entry.
    """
    wanted = parameters.wanted_of()
    found = runtime.audit.entries(principal.tenant, wanted, parameters.limit + 1)
    page, more = found[: parameters.limit], len(found) > parameters.limit
    acting.told(Action.AUDIT_READ, None, after=wanted.after, entries=len(page))
    return reply(
        AuditPage(entries=[AuditEntry.of(entry) for entry in page], next_cursor=str(page[-1].n) if more else None)
    )
