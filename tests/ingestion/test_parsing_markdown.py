"""Properties of the Markdown parser over documents built from blocks: nothing is lost, every span is exact."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ingestion.chunking import Chunker
from ingestion.corpus.records import ElementKind, ParsedDocument
from ingestion.parsing.building import clean
from ingestion.parsing.markdown import MarkdownParser
from ingestion.parsing.plain import parse_plain
from ingestion.settings import ChunkingSettings
from tests.ingestion.documents import assert_chunked, assert_well_formed, characters_in_fours

_CODE_LINES = st.lists(
    st.one_of(
        st.text(st.sampled_from(" \tabc$#>-*`~|{}\\\"'äß漢🚀"), max_size=24),
        st.sampled_from(["# a comment", "  kubectl get pods -n edge \\", "\t- x: 1", "---", "", "| a | b |", "> out"]),
    ),
    max_size=6,
)
_WORDS = st.text(st.sampled_from("abc xyz.,:!?éß漢🚀*_[]()`<>&"), min_size=1, max_size=60).filter(str.strip)


@st.composite
def fences(draw: st.DrawFn) -> str:
    mark = draw(st.sampled_from(["`" * 3, "~" * 3, "`" * 5, "~" * 4]))
    lines = [line for line in draw(_CODE_LINES) if not line.strip().startswith(mark[:3])]
    info = draw(st.sampled_from(["", "bash", "yaml title=x"]))
    closing = "" if draw(st.integers(0, 9)) == 0 else f"\n{mark}"
    return "\n".join([f"{mark}{info}", *lines]) + closing


_TABLES = st.integers(1, 4).map(
    lambda rows: "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | `x|y` |" for n in range(rows))
)
_HEADINGS = st.builds(lambda level, words: f"{'#' * level} {' '.join(words.split())}", st.integers(1, 6), _WORDS)
_LEAVES = st.one_of(
    fences(),
    _TABLES,
    _HEADINGS,
    _WORDS,
    st.sampled_from(
        ["***", "Setext\n---", "[ref]: http://x", "<div>\nhtml\n</div>", "    indented\n\n      code", "\t"]
    ),
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def item(mark: str, blocks: list[str]) -> str:
        body = "\n\n".join(blocks)
        return mark + textwrap.indent(body, " " * len(mark)).lstrip(" ")

    lists = st.builds(item, st.sampled_from(["- ", "1. ", "10) ", "*   "]), st.lists(inner, min_size=1, max_size=3))
    quotes = inner.map(lambda body: textwrap.indent(body, "> ", lambda _: True))
    return st.one_of(lists, quotes)


_DOCUMENTS = st.builds(
    lambda blocks, separator, newline: separator.join(blocks).replace("\n", newline),
    st.lists(st.recursive(_LEAVES, _nested, max_leaves=6), max_size=8),
    st.sampled_from(["\n\n", "\n", "\n\n\n \n"]),
    st.sampled_from(["\n", "\r\n"]),
)


def parsed(source: str) -> ParsedDocument:
    found = MarkdownParser().parse(clean(source))
    return ParsedDocument(found.text, found.elements, found.title or "untitled", "text/markdown", found.metadata or {})


@given(_DOCUMENTS)
def test_elements_cover_the_text(source: str) -> None:
    assert_well_formed(parsed(source))


@given(_DOCUMENTS)
def test_every_line_of_every_fence_is_there_to_the_byte(source: str) -> None:
    """The body that CommonMark sees in each fence is the element's lines less the marks of what contains them."""
    document = parsed(source)
    codes = [e.span.of(document.text).split("\n") for e in document.elements if e.kind is ElementKind.CODE]
    fenced = [t for t in MarkdownIt("commonmark").enable("table").parse(document.text) if t.type == "fence"]
    position = 0
    for token in fenced:
        body = token.content.split("\n")[:-1] if token.content else []
        while position < len(codes) and token.markup not in codes[position][0]:
            position += 1
        assert position < len(codes), "a fence without its element"
        inside = codes[position][1 : len(body) + 1]
        inside += [""] * (len(body) - len(inside))  # empty lines that end an unclosed fence
        for seen, line in zip(body, inside, strict=True):
            assert line.expandtabs(4).endswith(seen.expandtabs(4).rstrip()) or line.endswith(seen.lstrip())
        position += 1


@given(_DOCUMENTS, st.sampled_from([(32, 0, 64), (60, 20, 120), (200, 40, 480)]))
def test_chunks_quote_and_cover_the_text(source: str, limits: tuple[int, int, int]) -> None:
    document = parsed(source)
    settings = ChunkingSettings(max_tokens=limits[0], min_tokens=limits[1], hard_max_tokens=limits[2])
    chunks = Chunker(settings, characters_in_fours).chunk(document)
    assert_chunked(document, chunks, settings.hard_max_tokens)


@given(st.text(st.sampled_from("ab \t\n-*1.>=A|é漢"), max_size=300))
def test_plain_text_is_covered(source: str) -> None:
    found = parse_plain(source)
    assert_well_formed(ParsedDocument(found.text, found.elements, found.title or "untitled", "text/plain"))
