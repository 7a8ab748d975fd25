"""The streaming reader of answers: sentences, their citations, and that no cut of the stream changes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.generation.citations import CitationParser, CitedSentence, split_citations, with_citations

PIECES = st.sampled_from(
    [
        "Drain the host", " before you restart it", ".", "!", "?", " ", "\n", "\n\n", "[1]", "[2]", "[1, 2]", " [3] ",
        "[", "1", "]", "(", "`", "```", "```bash\n", "ls arr[1]", "- ", "2. ", "e.g.", "v2.3.1", "10.0.0.1", ":", "[9]",
        "# ", "[link](http://x.example)", "...", "* ", "\u3002", "> ", '"', "it waits 120 seconds", "[1-3]", "a", "**",
        "| a |", "[^1]", "[Source: 2]", "\u30101\u2020source\u3011", "(1)", "(Passage 1)", "(", "**[1]**", "([1])",
        "[1], [2] and [3]", "## Steps", "Sources:", "\n\n[1]", "  - ", "``` [2]\n", "According to [1], ", "\\[1\\]",
    ]
)  # fmt: skip


def read(*pieces: str, shown: int = 3) -> list[CitedSentence]:
    parser = CitationParser(shown)
    return [sentence for piece in pieces for sentence in parser.feed(piece)] + parser.close()


def texts(answer: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(sentence.text, sentence.cites) for sentence in read(answer)]


@given(st.lists(PIECES, max_size=25).map("".join), st.data())
def test_any_split_of_the_stream_gives_the_same_sentences(answer: str, data: st.DataObject) -> None:
    whole = read(answer)
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=12).map(sorted))
    ends = [*cuts, len(answer)]
    assert read(*(answer[start:end] for start, end in zip([0, *cuts], ends, strict=True))) == whole
    assert read(*answer) == whole


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Drain it [1]. Restart it.[2]", [("Drain it.", (1,)), ("Restart it.", (2,))]),
        ("Drain it. [1][2] Wait. [1, 3]", [("Drain it.", (1, 2)), ("Wait.", (1, 3))]),
        ("Drain it [1-3].", [("Drain it.", (1, 2, 3))]),
        ("Drain it.\n[1]\nWait.", [("Drain it.", (1,)), ("Wait.", ())]),
        ("Use v2.3.1, e.g. on 10.0.0.1 or a.example [1].", [("Use v2.3.1, e.g. on 10.0.0.1 or a.example.", (1,))]),
        ("Really? Yes! [2]", [("Really?", ()), ("Yes!", (2,))]),
        ("1. Drain. Then wait [1].\n2. Restart [2].", [("1. Drain. Then wait.", (1,)), ("2. Restart.", (2,))]),
        ("See [the page](http://x.example) [1].", [("See [the page](http://x.example).", (1,))]),
        ("Set `a[1]` to 2 [2].", [("Set `a[1]` to 2.", (2,))]),
        ("Run `sed 's/. /x/'` now [1]. Done [1].", [("Run `sed 's/. /x/'` now.", (1,)), ("Done.", (1,))]),
        ("Cut off [1", [("Cut off", ())]),
        ("Drain it \u30101\u3011. Wait \u30102\u2020source\u3011.", [("Drain it.", (1,)), ("Wait.", (2,))]),
        ("Drain it [^1]. Wait.[^2]", [("Drain it.", (1,)), ("Wait.", (2,))]),
        ("Drain it [passage 1]. Wait [Source: 2].", [("Drain it.", (1,)), ("Wait.", (2,))]),
        ("Drain it [source #1]. Wait [Documents 1 and 2].", [("Drain it.", (1,)), ("Wait.", (1, 2))]),
        ("Drain it (Passage 1). Wait. (Source 2) Go.", [("Drain it.", (1,)), ("Wait.", (2,)), ("Go.", ())]),
        ("Drain it **[1]**. Wait ([1], [2]).", [("Drain it.", (1,)), ("Wait.", (1, 2))]),
        ("Drain it.**[1]**", [("Drain it.", (1,))]),
        ("Drain it [[1]]. Wait <sup>[2]</sup>.", [("Drain it.", (1,)), ("Wait.", (2,))]),
        ("Drain it [1], [2] and [3]. Wait [1]; [2].", [("Drain it.", (1, 2, 3)), ("Wait.", (1, 2))]),
        ("Drain it \\[1\\].", [("Drain it.", (1,))]),
        ("According to [1], the drain waits. Go [2].", [("The drain waits.", (1,)), ("Go.", (2,))]),
        ("Drain it.\n\n[1]\n\nWait.\n\n[2]", [("Drain it.", (1,)), ("Wait.", (2,))]),
        ("- Drain it\n\n[1]\n\n- Wait [2]", [("- Drain it", (1,)), ("- Wait", (2,))]),
        ("- On a:\n  - Drain it [1]\n  - Wait [2]", [("- On a:", (1,)), ("- Drain it", (1,)), ("- Wait", (2,))]),
        ("## A [1]\n\nDrain it.\n\n## B\nWait [2].", [("## A\n\nDrain it.", (1,)), ("## B\nWait.", (2,))]),
        ("The exit code is failure (1).", [("The exit code is failure (1).", ())]),
        ("Set `a` to x[1].", [("Set `a` to x.", (1,))]),
    ],
)  # fmt: skip
def test_sentences_and_their_citations(answer: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert texts(answer) == expected


def test_a_code_block_stays_whole_with_its_lead_in_and_its_citation() -> None:
    answer = "Restart it:\n\n```bash\nls arr[1]\necho. Foo [2].\n```\n[1]\n\nThen wait [2]."
    assert texts(answer) == [
        ("Restart it:\n\n```bash\nls arr[1]\necho. Foo [2].\n```", (1,)),
        ("Then wait.", (2,)),
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Run:\n```sh\nls [1]\n```\n\n[1]\n\nWait [2].", [("Run:\n```sh\nls [1]\n```", (1,)), ("Wait.", (2,))]),
        ("Run:\n```sh\nls\n``` [1]\n\nWait [2].", [("Run:\n```sh\nls\n```", (1,)), ("Wait.", (2,))]),
        ("Run [1]:\n\n```sh\nls\n```\n\nWait [2].", [("Run:\n\n```sh\nls\n```", (1,)), ("Wait.", (2,))]),
        ("```sh\nls # [1]\n```\nWait [2].", [("```sh\nls # [1]\n```", ()), ("Wait.", (2,))]),
    ],
)
def test_citations_around_a_block_are_found_and_none_inside(
    answer: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert texts(answer) == expected


@pytest.mark.parametrize(
    "listing",
    [
        "Sources: [1], [2]",
        "**Sources:** [1][2]",
        "References:\n[1] Gateway runbook\n[2] Error codes",
        "## References\n\n- [1] Gateway runbook\n- [2] Error codes",
        "Sources:\n\n1. [1] Gateway runbook\n2. [2] Error codes",
        "Quellen:\n- [1]\n- [2]",
    ],
)
def test_a_list_of_what_was_cited_is_no_part_of_the_answer(listing: str) -> None:
    assert texts(f"Drain it [1].\n\n{listing}") == [("Drain it.", (1,))]
    assert texts(f"Drain it [1].\n\n{listing}\n\nThen wait [2].")[-1] == ("Then wait.", (2,))
    parser = CitationParser(3)
    cut = parser.feed(f"Drain it [1].\n\n{listing}"[:-1]) + parser.close(cut_off=True)
    assert [sentence.text for sentence in cut] == ["Drain it."]


def test_a_sentence_about_sources_is_part_of_the_answer() -> None:
    assert texts("Sources are synced nightly [1]. Sources: Git and SQL [2].") == [
        ("Sources are synced nightly.", (1,)),
        ("Sources: Git and SQL.", (2,)),
    ]


def inherited(answer: str) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(sentence.text, sentence.cites, sentence.inherited) for sentence in read(answer)]


def test_items_take_the_citation_of_the_line_before_their_list() -> None:
    assert inherited("Do this [2]:\n\n1. Drain it.\n2. Restart it [3].\n\nDone.") == [
        ("Do this:", (2,), False),
        ("1. Drain it.", (2,), True),
        ("2. Restart it.", (3,), False),
        ("Done.", (), False),
    ]


def test_items_take_the_citation_of_the_next_item_with_one() -> None:
    assert inherited("Do this:\n- Drain it\n- Restart it [3]\n- Wait") == [
        ("Do this:", (), False),
        ("- Drain it", (3,), True),
        ("- Restart it", (3,), False),
        ("- Wait", (), False),
    ]


def test_no_citation_crosses_the_end_of_a_list() -> None:
    assert inherited("- Drain it\n- Wait\n\nThen go home [1].\n\n- Rest") == [
        ("- Drain it", (), False),
        ("- Wait", (), False),
        ("Then go home.", (1,), False),
        ("- Rest", (), False),
    ]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("Drain it [1]. Never restart", ["Drain it."]),
        ("Drain it [1]. Wait.", ["Drain it.", "Wait."]),
        ("Drain it [1]. Wait [2", ["Drain it."]),
        ("- Drain it [1]\n- Wait\n- Restart a", ["- Drain it", "- Wait"]),
        ("1. Drain it [1]\n2.", ["1. Drain it"]),
        ("Drain it [1].\n- ", ["Drain it."]),
        ("Wait [1].\n\n```sh\nls.\n", ["Wait."]),
        ("Wait [1].\n\n```sh\nls\n```", ["Wait.", "```sh\nls\n```"]),
        ("Drain", []),
    ],
)
def test_half_a_sentence_is_left_out(answer: str, kept: list[str]) -> None:
    parser = CitationParser(3)
    assert [sentence.text for sentence in parser.feed(answer) + parser.close(cut_off=True)] == kept


def test_a_table_stays_whole() -> None:
    assert texts("| a | b |\n|---|---|\n| 1 | 2 |\n[1]\n\nDone [2].") == [
        ("| a | b |\n|---|---|\n| 1 | 2 |", (1,)),
        ("Done.", (2,)),
    ]


def test_numbers_of_passages_never_shown_are_dropped_and_counted() -> None:
    (sentence,) = read("Drain it [1][7][0].")
    assert sentence.cites == (1,)
    assert sentence.unknown == 2


def test_a_sentence_is_ready_as_soon_as_the_next_one_begins() -> None:
    parser = CitationParser(3)
    assert parser.feed("Drain it [1].") == []
    assert [sentence.text for sentence in parser.feed(" R")] == ["Drain it."]


@pytest.mark.parametrize("following", [" Restart", "\n\nRestart", "\n- Restart", "\n2. Restart"])
def test_one_without_a_citation_is_ready_once_what_follows_can_no_longer_bring_one(following: str) -> None:
    parser = CitationParser(3)
    assert parser.feed("Drain it.") == []
    assert [sentence.text for sentence in parser.feed(f"{following} the gate")] == ["Drain it."]


def test_one_that_may_introduce_a_block_waits_for_it() -> None:
    parser = CitationParser(3)
    assert parser.feed("Run this.\n\n`") == []
    (sentence,) = parser.feed("``sh\nls\n```\n[1]\n\nThen")
    assert (sentence.text, sentence.cites) == ("Run this.\n\n```sh\nls\n```", (1,))


def test_markers_come_back_where_a_reader_expects_them() -> None:
    assert with_citations("Drain it.", (1, 2)) == "Drain it. [1][2]"
    assert with_citations("Run:\n```\nls\n```", (1,)) == "Run:\n```\nls\n```\n[1]"
    assert with_citations("So.", ()) == "So."
    assert split_citations("a [1] b [2, 3]")[1] == [1, 2, 3]
