"""Logging of both processes: structlog, one event a line, constant names with data as keys."""

from __future__ import annotations

import logging
import sys

import structlog

from ingestion.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Log to standard error at the set level, for people or as JSON. Call once, at the start of a process."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # The libraries' own loggers: only what an operator must act on.
    for name in ("dbos", "httpx", "sentence_transformers", "transformers", "unstructured"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
