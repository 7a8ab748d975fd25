"""The words of a heading, without the marks of the format it was written in."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

_MARKED = re.compile(r"[\\`*_\[\]<>&!#~\n{]|^[=-]+$", re.MULTILINE)
_ANCHOR = re.compile(r"\s*\{[#:.][^{}]*\}\s*\Z")
_UNDERLINE = re.compile(r"([=\-~^*#])\1{2,}")
_LONGEST = 400
"""Characters read of a heading: inline parsing of hostile input is not linear."""


class HeadingReader:
    """Reads titles out of headings; safe to share between threads."""

    def __init__(self) -> None:
        self._markdown = MarkdownIt("commonmark")

    def markdown(self, source: str) -> str:
        """A Markdown heading's words on one line: no hashes, underline, emphasis, links or anchors."""
        source = source[:_LONGEST].strip()
        if not _MARKED.search(source):
            return " ".join(source.split())
        words: list[str] = []
        for token in self._markdown.parse(source):
            for child in token.children or ():
                if child.type in ("text", "code_inline"):
                    words.append(child.content)
                elif child.type in ("softbreak", "hardbreak"):
                    words.append(" ")
                elif child.type == "image":
                    words.append(child.content)
        return " ".join(_ANCHOR.sub("", "".join(words)).split())

    def plain(self, source: str) -> str:
        """A heading's words on one line, in a format without marks but an underline."""
        lines = (line for line in source[:_LONGEST].split("\n") if not _UNDERLINE.fullmatch(line.strip()))
        return " ".join(" ".join(lines).split())
