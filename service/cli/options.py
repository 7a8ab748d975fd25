"""Options that commands share, and whom a command asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from ingestion.corpus.scope import Scope, TenantId
from service.cli.console import settings
from service.cli.desks import Desk, LocalDesk, RemoteDesk
from service.cli.remote import Remote

Url = Annotated[
    str | None, typer.Option(envvar="PLUMBLINE_URL", help="Ask the service at this address, not the data folder.")
]
ApiKey = Annotated[str | None, typer.Option(envvar="PLUMBLINE_API_KEY", help="Key for that service.")]
Tenant = Annotated[str, typer.Option(help="Tenant that it is about (without --url).")]
InCollections = Annotated[list[str] | None, typer.Option("--collection", help="Look in it only; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what the HTTP API returns.")]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks whom, as the options of a command say."""

    tenant: str
    url: str | None
    api_key: str | None

    def desk(self) -> Desk:
        if self.url:
            return RemoteDesk(Remote(self.url, self.api_key))
        return LocalDesk(settings(quiet=True), Scope(TenantId(self.tenant)))
