"""Block rules for what CommonMark does not know: the admonitions of MkDocs and the containers of Docusaurus.

`!!! note` and its kin hold an indented body that would otherwise pass for code; a line of `:::` would run into the
paragraph next to it.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock

_ADMONITION = re.compile(r"(?:!!!|\?\?\?\+?)[ \t]*[\w\"-]|===[+!]?[ \t]+\"")
_CONTAINER = re.compile(r":{3,}(?!:)")
_BODY_INDENT = 4
_INTERRUPTS: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}


def enable_admonitions(parser: MarkdownIt) -> MarkdownIt:
    """The parser, which from now on reads both."""
    parser.block.ruler.before("code", "admonition", _admonition, _INTERRUPTS)
    parser.block.ruler.before("code", "container", _container, _INTERRUPTS)
    return parser


def _begins(state: StateBlock, line: int, mark: re.Pattern[str], first: str) -> bool:
    """Whether the line begins with the mark; most lines are told by their first character alone."""
    start, end = state.bMarks[line] + state.tShift[line], state.eMarks[line]
    if start >= end or state.src[start] not in first or state.is_code_block(line):
        return False
    return mark.match(state.src, start, end) is not None


def _admonition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A line of its own, then blocks as if their indentation were not there."""
    if not _begins(state, start, _ADMONITION, "!?="):
        return False
    indent = state.sCount[start] + _BODY_INDENT
    last = start + 1
    for line in range(start + 1, end):
        if state.isEmpty(line):
            continue
        if state.sCount[line] < indent:
            break
        last = line + 1
    if last == start + 1:
        return False
    if silent:
        return True
    _add_line(state, start)
    outer_indent, outer_end = state.blkIndent, state.lineMax
    state.blkIndent, state.lineMax = indent, last
    state.md.block.tokenize(state, start + 1, last)
    state.blkIndent, state.lineMax = outer_indent, outer_end
    state.line = last
    return True


def _container(state: StateBlock, start: int, _: int, silent: bool) -> bool:
    """The line that opens or closes a container; what is between needs no help."""
    if not _begins(state, start, _CONTAINER, ":"):
        return False
    if not silent:
        _add_line(state, start)
        state.line = start + 1
    return True


def _add_line(state: StateBlock, line: int) -> None:
    token = state.push("paragraph_open", "p", 1)
    token.map = [line, line + 1]
    state.push("paragraph_close", "p", -1)
