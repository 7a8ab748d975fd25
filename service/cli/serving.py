"""`plumbline serve`, `worker` and `version`."""

from __future__ import annotations

import gc
import signal
import socket
import sys
import threading
from importlib.metadata import version as version_of
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.database import open_database
from ingestion.errors import ConfigurationError
from service.access.door import Door
from service.access.keys import Keys
from service.cli.console import err, reported, settings
from service.ledger.database import migrate_ledger
from service.settings import ServiceSettings

if TYPE_CHECKING:
    from service.runtime import Runtime

_GRACE_S = 10

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = None,
) -> None:
    """Serve the HTTP API and the web page until interrupted."""
    import uvloop

    with reported():
        loaded = settings()
        given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        loaded = loaded.model_copy(update={"server": loaded.server.model_copy(update=given)})
        _check_door(loaded)
        with _bound(loaded.server.host, loaded.server.port) as listener:
            uvloop.run(_serve(loaded, listener))


@app.command()
def worker() -> None:
    """Ingest what the API takes in, as a process of its own (server deployment)."""
    from ingestion.jobs import run_worker

    with reported():
        loaded = settings()
        if loaded.index.engine == "edge":
            raise ConfigurationError(
                "an embedded service does its own work: `plumbline serve` is enough (PLUMBLINE_INDEX__ENGINE=server "
                "separates the two)"
            )
        stop = threading.Event()

        def on_signal(_signal: int, _frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        with open_corpus(loaded) as corpus, run_worker(loaded, corpus):
            err().print("waiting for jobs; Ctrl-C ends it")
            stop.wait()


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"plumbline {version_of('plumbline')} (Python {sys.version.split()[0]})")


def _check_door(loaded: ServiceSettings) -> None:
    # Before the model is loaded: who forgot the key should know at once.
    database = open_database(loaded)
    try:
        migrate_ledger(database)
        Door(Keys(database), loaded.server.host).check_start()
    finally:
        database.dispose()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not listen yet: a client that comes too early is refused, not kept waiting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"PLUMBLINE_SERVER__HOST: {host} is no address to listen on: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; is another service running? "
            "--port takes another one, and 0 any that is free"
        ) from error
    return listener


async def _serve(loaded: ServiceSettings, listener: socket.socket) -> None:
    import uvicorn

    from service.app import app_for
    from service.runtime import open_runtime

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                _announce(runtime, listener)

    err().print("loading the model …")
    async with open_runtime(loaded) as runtime:
        # The libraries and models stay for good: the garbage collector need not look through them again and again.
        gc.collect()
        gc.freeze()
        config = uvicorn.Config(
            app_for(runtime), log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S, server_header=False
        )
        await Server(config).serve(sockets=[listener])


def _announce(runtime: Runtime, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 - compared, not bound
    key = ' -H "Authorization: Bearer $PLUMBLINE_API_KEY"' if runtime.keys.are_required() else ""
    console = err()
    console.print(
        f"\nPlumbline {version_of('plumbline')} is ready: [bold]http://{shown}:{port}/[/bold]", highlight=False
    )
    console.print(f"  search   curl -s{key} 'http://{shown}:{port}/v1/search?q=…'", highlight=False, soft_wrap=True)
    console.print(f"  API      http://{shown}:{port}/openapi.json", highlight=False)
    if not runtime.settings.llm.base_url and not runtime.settings.llm.api_key:
        console.print(
            "  answers  are extracted from the documents; PLUMBLINE_LLM__BASE_URL names a model to write them",
            highlight=False,
            soft_wrap=True,
        )
    console.print("Ctrl-C stops it.\n")
