"""What a running service does now and then beside its requests: each duty in a thread of its own.

What the duties do is left to their modules; `service.runtime` lists them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from ingestion.errors import PlumblineError
from service.ledger.metrics import DUTIES, Metrics

log = structlog.get_logger(__name__)

_FIRST_S = 30.0
"""The first time comes soon: a process that is restarted often must get to its duties, too."""
_CLOSING_S = 10.0


@dataclass(frozen=True, slots=True)
class Duty:
    """`work` is done every `every_s` seconds, the first time 30 s after the start or sooner.

    It may raise a PlumblineError or an SQLAlchemyError: then it is tried again the next time.
    """

    name: str
    every_s: float
    work: Callable[[], None]


@contextmanager
def keeping(duties: Sequence[Duty], metrics: Metrics) -> Iterator[None]:
    """Do the duties until the context ends; work under way then is waited for, but no longer than 10 s."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_keep, args=(duty, metrics, over), name=f"duty-{duty.name}", daemon=True)
        for duty in duties
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(_CLOSING_S)


def _keep(duty: Duty, metrics: Metrics, over: threading.Event) -> None:
    try:
        pause_s = min(duty.every_s, _FIRST_S)
        while not over.wait(pause_s):
            _do(duty, metrics)
            pause_s = duty.every_s
    finally:
        # Only an error that nobody thought of ends a duty; Python prints it with its trace when the thread ends.
        if not over.is_set():
            metrics.count(DUTIES, duty.name, "ended")
            log.error("duty_ended", duty=duty.name)


def _do(duty: Duty, metrics: Metrics) -> None:
    try:
        duty.work()
    except (PlumblineError, SQLAlchemyError) as error:
        metrics.count(DUTIES, duty.name, "failed")
        log.warning("duty_failed", duty=duty.name, error=type(error).__name__, detail=str(error))
    else:
        metrics.count(DUTIES, duty.name, "ok")
