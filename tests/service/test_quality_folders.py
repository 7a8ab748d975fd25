"""Judged collections are read as they are, and what is wrong in one is named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingestion.errors import ConfigurationError
from service.quality.folders import JudgedFolder, find_folder, load_queries
from tests.service.quality_parts import DOCUMENTS, GRADES, beir_folder


@pytest.fixture
def folder(tmp_path: Path) -> JudgedFolder:
    found = find_folder(beir_folder(tmp_path / "harbour"))
    assert found is not None
    return found


def test_queries_come_with_their_judgements(folder: JudgedFolder) -> None:
    queries = load_queries(folder)

    cases = {case.id: case for case in queries.cases}
    assert folder.name == "harbour"
    assert list(cases) == ["q1", "q2", "q3", "q4", "r0"]
    assert cases["q2"].judged() == {"ledger.md": 2}
    assert cases["q4"].judged() == {"barge": 1}  # the grade 0 is no relevant document
    assert cases["r0"].must_refuse
    assert queries.unjudged == 1


def test_documents_come_with_the_format_that_their_ids_tell(folder: JudgedFolder) -> None:
    documents = {document.id: document for document in folder.documents()}

    assert list(documents) == list(DOCUMENTS)
    assert documents["ledger.md"].media_type == "text/markdown"
    assert (documents["crane"].media_type, documents["crane"].title) == ("text/plain", "Harbour crane")
    assert documents["crane"].data == DOCUMENTS["crane"][1].encode()


def test_files_may_have_a_prefix(tmp_path: Path) -> None:
    plain = beir_folder(tmp_path / "answers")
    for file in list(plain.iterdir()):
        file.rename(plain / f"harbour_{file.name}")

    for path in (plain, plain / "harbour"):
        found = find_folder(path)
        assert found is not None
        assert found.name == "harbour"
        assert len(load_queries(found).cases) == 5


def test_the_judgements_may_lie_where_beir_puts_them(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "harbour")
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")

    found = find_folder(folder)

    assert found is not None
    assert len(load_queries(found).cases) == 5


def test_the_digest_is_of_the_documents(tmp_path: Path, folder: JudgedFolder) -> None:
    other = beir_folder(tmp_path / "other")
    same = find_folder(other)
    assert same is not None
    assert same.digest() == folder.digest()

    (other / "corpus.jsonl.gz").unlink()
    (other / "corpus.jsonl").write_text('{"id": "a", "title": "", "text": "b"}\n')
    changed = find_folder(other)
    assert changed is not None
    assert changed.digest() != folder.digest()


def test_what_is_no_collection_is_none(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "harbour")
    (folder / "qrels.tsv").unlink()

    assert find_folder(folder) is None
    assert find_folder(tmp_path / "nonesuch" / "at-all") is None


@pytest.mark.parametrize(
    ("file", "line", "place", "what"),
    [
        ("queries.jsonl", "{not json", "queries.jsonl:7:", "not JSON"),
        ("queries.jsonl", "[1]", "queries.jsonl:7:", "not a JSON object"),
        ("queries.jsonl", '{"text": "no id"}', "queries.jsonl:7:", "no id"),
        ("queries.jsonl", json.dumps({"id": "q1", "text": "twice"}), "queries.jsonl:7:", "already on line 1"),
        ("qrels.tsv", "q1\tgateway.md", "qrels.tsv:7:", "three columns"),
        ("qrels.tsv", "q1\tgateway.md\tmuch", "qrels.tsv:7:", "'much'"),
        ("qrels.tsv", "q77\tgateway.md\t1", "qrels.tsv:", "'q77' is not in queries.jsonl"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    folder: JudgedFolder, tmp_path: Path, file: str, line: str, place: str, what: str
) -> None:
    with (tmp_path / "harbour" / file).open("a") as handle:
        handle.write(f"{line}\n")

    with pytest.raises(ConfigurationError, match=what) as caught:
        load_queries(folder)
    assert place in caught.value.detail


def test_a_question_without_text_is_named(folder: JudgedFolder) -> None:
    rows = folder.queries.read_text().replace("LDG-1107", "")
    folder.queries.write_text(rows)

    with pytest.raises(ConfigurationError, match=r"queries\.jsonl:2: question"):
        load_queries(folder)


def test_a_damaged_file_is_named(folder: JudgedFolder) -> None:
    folder.corpus.write_bytes(folder.corpus.read_bytes()[:40])

    with pytest.raises(ConfigurationError, match=r"corpus\.jsonl\.gz: cannot be read"):
        list(folder.documents())


def test_judgements_of_nothing_relevant_are_no_golden_set(folder: JudgedFolder) -> None:
    folder.qrels.write_text("\n".join(f"{q}\t{d}\t0" for q, d in GRADES) + "\n")
    folder.queries.write_text(
        '{"id": "q1", "text": "a"}\n{"id": "q2", "text": "b"}\n{"id": "q3", "text": "c"}\n{"id": "q4", "text": "d"}\n'
    )

    with pytest.raises(ConfigurationError, match="no query has a relevant document"):
        load_queries(folder)
