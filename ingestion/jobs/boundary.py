"""The boundary for errors: whatever a job raises ends that job or that document, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from ingestion.errors import BackendUnavailable, PlumblineError

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Crash:
    """Work that ended in an error that nobody expects."""

    error: Exception


def attempted(work: Callable[[], T]) -> T | Crash:
    """What the work returns, or its crash.

    Raises: PlumblineError as the work does; BackendUnavailable if the database does not answer.
    """
    try:
        return work()
    except PlumblineError:
        raise
    except (OperationalError, InterfaceError) as error:
        raise BackendUnavailable(f"the database does not answer: {error.orig}") from error
    except Exception as error:
        log.exception("job_work_crashed")
        return Crash(error)
