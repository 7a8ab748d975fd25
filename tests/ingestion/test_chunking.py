"""How documents are cut: what stays together, what is parted, and under which headings a chunk stands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ingestion.chunking import Chunker, outline
from ingestion.corpus.records import Chunk, Element, ElementKind, ParsedDocument, Span
from ingestion.parsing.markdown import MarkdownParser
from ingestion.pipeline import embedding_text
from ingestion.settings import ChunkingSettings
from tests.ingestion.documents import assert_chunked, characters_in_fours

_SETTINGS = ChunkingSettings(max_tokens=60, min_tokens=15, hard_max_tokens=120)
_SENTENCE = "The gateway drains its connections before it stops. "  # 14 tokens


def parsed(source: str, title: str | None = None) -> ParsedDocument:
    found = MarkdownParser().parse(source)
    return ParsedDocument(found.text, found.elements, title or found.title or "untitled", "text/markdown")


def cut(source: str, settings: ChunkingSettings = _SETTINGS) -> list[Chunk]:
    document = parsed(source)
    chunks = Chunker(settings, characters_in_fours).chunk(document)
    assert_chunked(document, chunks, settings.hard_max_tokens)
    return list(chunks)


def table(text: str) -> ParsedDocument:
    text = text.rstrip()
    return ParsedDocument(text, (Element(ElementKind.TABLE, Span(0, len(text))),), "Doc", "text/plain")


def test_sections_are_chunks_under_their_headings() -> None:
    body = _SENTENCE * 3
    chunks = cut(f"# Doc\n\n## **One**\n\n{body}\n\n### Inner `x`\n\n{body}\n\n## Two\n\n{body}")
    assert [chunk.heading_path for chunk in chunks] == [("One",), ("One", "Inner x"), ("Two",)]
    assert chunks[0].text.startswith("# Doc\n\n## **One**\n\nThe gateway")
    assert chunks[2].text.startswith("## Two\n\nThe gateway")


def test_a_first_heading_that_is_not_the_title_is_kept() -> None:
    document = parsed("# Doc\n\n## One\n\ntext", title="Other")
    (chunk,) = Chunker(_SETTINGS, characters_in_fours).chunk(document)
    assert chunk.heading_path == ("Doc", "One")


def test_paragraphs_and_items_fill_a_chunk_up_to_the_limit() -> None:
    chunks = cut("\n".join(f"- {_SENTENCE}" for _ in range(10)))
    assert len(chunks) == 4
    assert all(25 <= chunk.tokens <= 60 for chunk in chunks)


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    chunks = cut(_SENTENCE * 9)
    assert len(chunks) > 1
    assert all(chunk.text.startswith("The gateway") and chunk.text.endswith("stops.") for chunk in chunks)


def test_text_without_any_break_is_cut_all_the_same() -> None:
    assert len(cut("x" * 3000)) > 10


def test_code_stays_whole_beyond_the_limit_of_prose() -> None:
    code = "```yaml\n" + "\n".join(f"  key_{n}: value" for n in range(20)) + "\n```"
    chunks = cut(f"{_SENTENCE}\n\n{code}\n\n{_SENTENCE}")
    assert any(code in chunk.text for chunk in chunks)


def test_code_beyond_the_hard_limit_is_cut_between_lines() -> None:
    lines = [f"  key_{n}: value # comment" for n in range(80)]
    chunks = cut("## H\n\n```yaml\n" + "\n".join(lines) + "\n```")
    assert chunks[0].text.startswith("## H\n\n```yaml\n  key_0")
    kept = "\n".join(chunk.text for chunk in chunks)
    assert all(f"\n{line}\n" in kept for line in lines)


def test_a_single_line_beyond_the_hard_limit_is_cut_between_words() -> None:
    chunks = cut("```\n" + "word " * 400 + "\n```")
    assert all(not chunk.text.rstrip("`\n ").endswith("wor") for chunk in chunks)


def test_a_command_stays_with_the_sentence_that_introduces_it() -> None:
    filler = _SENTENCE * 3
    chunks = cut(
        f"{filler}\n\nRestart it with:\n\n```bash\nkubectl rollout restart deploy/gatehouse -n edge\n```\n\n{filler}"
    )
    (chunk,) = [chunk for chunk in chunks if "kubectl" in chunk.text]
    assert "Restart it with:" in chunk.text


def test_headings_are_never_alone() -> None:
    body = _SENTENCE * 4
    chunks = cut(f"## A\n\n### B\n\n{body}\n\n## C\n\n{body}\n\n## Trailing")
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["## A", "## C"]
    assert chunks[-1].text.endswith("## Trailing")
    assert [chunk.text for chunk in cut("# Only\n\n## Headings")] == ["# Only\n\n## Headings"]


def test_small_siblings_share_a_chunk_under_their_parent() -> None:
    chunks = cut("# T\n\n## Glossary\n\n### RTO\n\nTime.\n\n### RPO\n\nLoss.\n\n### SLO\n\nAim.\n")
    assert [chunk.heading_path for chunk in chunks] == [("Glossary",)]


def test_sections_of_different_parents_do_not_mix() -> None:
    chunks = cut(f"# T\n\n## A\n\n### A1\n\nTime.\n\n## B\n\n### B1\n\n{_SENTENCE * 3}")
    assert [chunk.heading_path for chunk in chunks] == [("A", "A1"), ("B", "B1")]


def test_a_document_of_headings_alone_is_searchable_within_the_limits() -> None:
    chunks = cut("\n\n".join(f"## Heading number {number}" for number in range(60)))
    assert len(chunks) > 1
    assert all(set(chunk.kinds) == {ElementKind.HEADING} for chunk in chunks)


def test_an_empty_section_goes_with_the_one_after_it() -> None:
    chunks = cut(f"## A\n\n{_SENTENCE * 4}\n\n## Empty\n\n## B\n\n{_SENTENCE * 4}")
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["## A", "## Empty"]
    assert chunks[1].heading_path == ("B",)


def test_a_document_of_code_alone_is_cut_between_blocks() -> None:
    block = "```\n" + "key: value\n" * 20 + "```"  # 57 tokens
    chunks = cut("\n\n".join([block] * 5))
    assert [chunk.text for chunk in chunks] == [block] * 5
    assert {chunk.kinds for chunk in chunks} == {(ElementKind.CODE,)}


def test_code_that_fits_is_whole_even_if_its_heading_then_stands_alone() -> None:
    code = "```\n" + "key: value\n" * 42 + "```"  # 118 tokens of 120
    chunks = cut(f"## How\n\n{code}")
    assert [chunk.text for chunk in chunks] == ["## How", code]
    assert {chunk.heading_path for chunk in chunks} == {("How",)}


def test_every_part_of_a_table_knows_its_header() -> None:
    header = "| flag | meaning |\n|:-----|--------:|\n"
    rows = "\n".join(f"| --flag-{number} | what it does |" for number in range(40))
    chunks = cut(f"## Flags\n\n{header}{rows}")
    assert len(chunks) > 2
    assert chunks[0].text.startswith("## Flags\n\n" + header)
    assert [chunk.context for chunk in chunks] == ["", *[header] * (len(chunks) - 1)]
    assert all(chunk.text.startswith("| --flag-") for chunk in chunks[1:])
    assert all(len(chunk.context + chunk.text) // 4 <= _SETTINGS.hard_max_tokens for chunk in chunks)
    assert embedding_text("Doc", chunks[1]).startswith(f"Doc > Flags\n\n{header}| --flag-")


def test_a_table_that_is_cut_for_its_heading_keeps_the_header_for_the_rest() -> None:
    header = "| a | b |\n|---|---|\n"
    rows = "\n".join("| some cell | another |" for _ in range(40))
    heading = "## " + "Long heading " * 12
    chunks = cut(f"{heading}\n\n{header}{rows}")
    assert [bool(chunk.context) for chunk in chunks] == [False, *[True] * (len(chunks) - 1)]


@pytest.mark.parametrize("header", ["| " + "wide " * 60 + "|\n|---|\n", "| a | b |\n"])
def test_a_table_without_a_short_header_is_cut_without_one(header: str) -> None:
    document = table(header + "| 1 | 2 |\n" * 100)
    chunks = Chunker(_SETTINGS, characters_in_fours).chunk(document)
    assert len(chunks) > 1
    assert not any(chunk.context for chunk in chunks)


def test_no_chunk_is_longer_than_the_embedder_reads() -> None:
    code = "```\n" + "key: value\n" * 42 + "```"
    document = parsed(f"## How\n\n{code}\n\n{_SENTENCE * 20}")
    chunks = Chunker(_SETTINGS, characters_in_fours, lambda: 80).chunk(document)
    assert_chunked(document, chunks, 80 - 32)
    assert len(chunks) > 6


def test_headings_that_do_not_fit_beside_the_text_go_from_the_outside_in() -> None:
    code = "```\n" + "key: value\n" * 42 + "```"
    document = parsed(f"# A\n\n## {'outer ' * 14}\n\n### inner\n\n{code}\n\n{_SENTENCE}", title="Title")
    chunks = Chunker(_SETTINGS, characters_in_fours, lambda: 152).chunk(document)
    (long,) = [chunk for chunk in chunks if code in chunk.text]
    assert long.heading_path == ("A", ("outer " * 14).strip(), "inner")
    assert long.breadcrumb == "Title > inner"
    assert embedding_text("Title", long) == f"Title > inner\n\n{long.text}"
    assert [chunk.breadcrumb for chunk in chunks if chunk is not long] == [None] * (len(chunks) - 1)


def test_a_title_that_does_not_fit_beside_the_text_loses_its_end() -> None:
    code = "```\n" + "key: value\n" * 42 + "```"
    (chunk,) = Chunker(_SETTINGS, characters_in_fours, lambda: 152).chunk(parsed(code, title="word " * 100))
    assert chunk.breadcrumb is not None
    assert chunk.breadcrumb.startswith("word word")
    assert characters_in_fours([chunk.breadcrumb])[0] + chunk.tokens <= 152 - 16


def test_the_longest_input_is_asked_for_at_the_first_document_only() -> None:
    def fail() -> int:
        raise AssertionError("the model would be loaded")

    assert Chunker(_SETTINGS, characters_in_fours, fail).version


def test_a_document_without_text_has_no_chunks() -> None:
    assert cut("") == []


def test_the_tokenizer_is_asked_a_few_times_a_document() -> None:
    calls = 0

    def count(texts: Sequence[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return characters_in_fours(texts)

    Chunker(_SETTINGS, count).chunk(parsed(f"# T\n\n{_SENTENCE}\n\n" * 50))
    assert calls == 2


def test_the_version_names_the_settings() -> None:
    first = Chunker(_SETTINGS, characters_in_fours).version
    assert first == Chunker(_SETTINGS, characters_in_fours).version
    assert first != Chunker(ChunkingSettings(), characters_in_fours).version


def test_outline_lists_the_headings() -> None:
    document = parsed("# Doc\n\ntext\n\n## *One* [link](x) {#anchor}\n\n```\n# no heading\n```\n\nTwo\n---\n\ntext")
    assert [(entry.level, entry.title) for entry in outline(document)] == [(1, "Doc"), (2, "One link"), (2, "Two")]
    assert [entry.span.of(document.text) for entry in outline(document)][2] == "Two\n---"


@pytest.mark.parametrize("heading", ["# " + "[" * 100_000, "# " + "*a " * 30_000])
def test_hostile_headings_take_no_time(heading: str) -> None:
    assert outline(parsed(f"{heading}\n\ntext"))
