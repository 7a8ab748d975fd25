"""From bytes to normalised text with spans. `DocumentParser` is the door; what lies behind runs in child processes."""

from ingestion.parsing.parser import DocumentParser, parser_version

__all__ = ["DocumentParser", "parser_version"]
