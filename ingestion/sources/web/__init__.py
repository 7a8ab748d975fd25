"""Web sites as sources: polite, within one site, and never at an address that is not allowed."""

from ingestion.sources.web.origin import Web

__all__ = ["Web"]
