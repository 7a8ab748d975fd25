"""A golden file that is wrong says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import ConfigurationError
from service.quality.golden import load_golden

GOOD = '{"id": "a", "question": "why?", "relevant_documents": ["x.md"]}'


def test_cases_come_in_order_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(f'{GOOD}\n\n{{"id": "b", "question": "how?", "must_refuse": true}}\n', encoding="utf-8")

    assert [(case.id, case.must_refuse) for case in load_golden(path)] == [("a", False), ("b", True)]


@pytest.mark.parametrize(
    ("lines", "place", "what"),
    [
        ([GOOD, "{not json"], ":2:", "JSON"),
        ([GOOD, GOOD], ":2:", "already on line 1"),
        (['{"id": "a", "question": "why?"}'], ":1:", "at least one relevant document"),
        (
            ['{"id": "a", "question": "why?", "relevant_documents": ["x"], "must_refuse": true}'],
            ":1:",
            "must be refused",
        ),
        (['{"id": "a", "question": "why?", "documents": ["x"]}'], ":1:", "documents"),
        ([""], "", "holds no case"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, lines: list[str], place: str, what: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(ConfigurationError, match=what) as caught:
        load_golden(path)
    assert f"golden.jsonl{place}" in caught.value.detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nonesuch\.jsonl"):
        load_golden(tmp_path / "nonesuch.jsonl")
