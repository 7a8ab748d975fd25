"""How documents are cut: what stays together, what is parted, and under which headings a chunk stands."""

from __future__ import annotations

import pytest

from ingestion.chunking import Chunker, outline
from ingestion.corpus.records import Chunk, ParsedDocument
from ingestion.parsing.markdown import MarkdownParser
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


def test_a_document_without_text_has_no_chunks() -> None:
    assert cut("") == []


def test_the_tokenizer_is_asked_a_few_times_a_document() -> None:
    calls = 0

    def count(texts: list[str]) -> list[int]:
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
