"""Commands in code spans and blocks, and whether a text holds one whole.

A command of an answer must stand in a source line by line and to the letter, but for white space, a leading prompt
(`$ `, `# `), a continuation in the next line and a comment behind it. A part of a longer one is another command: what
was cut off may be the flag that made it harmless. A placeholder of the source (`<pod>`, `$POD`, `{name}`) stays one: a
command with a value filled in is not in the source, so that no sentence with it is ever `supported`, wherever the value
comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CODE_SPAN = re.compile(r"(`{3,}|~{3,})[^\n]*\n(?P<block>.*?)(?:\n[ \t>]*\1|\Z)|`(?P<inline>[^`\n]+)`", re.DOTALL)

_PROMPT = re.compile(r"^[ \t>]*(?:[$#%]|PS>|>>>)[ \t]+")
_COMMENT = re.compile(r"[ \t]+#(?: |$).*$")
_CONTINUED = re.compile(r"[ \t]*\\\n[ \t>]*")
_CHAINED = re.compile(r"[ \t]*(?:&&|;)[ \t]*")
_GOES_ON = re.compile(r"\s*(?:[-|&/~$<>]|\S*[=_./]\w)")
"""After a command in prose: a flag, a pipe, a path. What stands there belongs to it."""


def flat(text: str) -> str:
    return " ".join(text.split())


def code_lines(match: re.Match[str]) -> Iterator[str]:
    """The lines of a match of `CODE_SPAN` that say something, each in one spelling."""
    block = match.group("block")
    if block is None:
        yield normal(match.group("inline"))
        return
    for line in _CONTINUED.sub(" ", block).splitlines():
        if bare := normal(line):
            yield bare


def normal(line: str) -> str:
    """A line of code without prompt, indentation and repeated white space."""
    without = _PROMPT.sub("", line)
    return flat(without)


class CommandText:
    """A stretch of evidence, prepared to be asked for commands. `code`: it is a line of code without its fence."""

    def __init__(self, text: str, *, code: bool = False) -> None:
        whole: set[str] = set()
        pieces = [text, _CONTINUED.sub(" ", text)]
        pieces += [match.group("inline") for match in CODE_SPAN.finditer(text) if match.group("inline")]
        for line in (line for piece in pieces for line in piece.splitlines()):
            for form in {line, _COMMENT.sub("", line)}:
                whole.add(normal(form))
                whole.add(flat(form))
                whole.update(flat(part) for part in _CHAINED.split(_PROMPT.sub("", form)))
        self._whole = whole
        self._prose = "" if code else flat(CODE_SPAN.sub(" \x00 ", text))

    def has(self, command: str) -> bool:
        """Whether the command stands here whole."""
        if command in self._whole or _COMMENT.sub("", command) in self._whole:
            return True
        at = self._prose.find(command)
        while at >= 0:
            end = at + len(command)
            starts = at == 0 or not (self._prose[at - 1].isalnum() or self._prose[at - 1] in "_-./$")
            after = self._prose[end:]
            ends = not after or (after[0] in " .,;:!?)" and not _GOES_ON.match(after.lstrip(".,;:!?)")))
            if starts and ends:
                return True
            at = self._prose.find(command, at + 1)
        return False
