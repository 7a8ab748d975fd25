"""The hash chain: any change is found and the entry named, by the service and by the lines that the docs print."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import InvalidRequest
from service.ledger.chain import CUT, GENESIS, Entry, Head, read_lines, verify

ACTIONS = ("asked", "document.delete", "key.create")


def chain(length: int, tenant: str = "acme") -> list[Entry]:
    entries: list[Entry] = []
    for n in range(1, length + 1):
        entry = Entry(
            tenant=tenant,
            n=n,
            at=f"2026-03-01T10:00:{n:02}.000001Z",
            actor="key:ab12",
            action=ACTIONS[n % 3],
            subject=None if n % 2 else f"dokument-ü{n}",
            detail={"b": n, "a": ["x", {"deep": None}], "ok": True},
            previous=entries[-1].hash if entries else GENESIS,
        )
        entries.append(replace(entry, hash=entry.sealed()))
    return entries


def exported(entries: Sequence[Entry]) -> list[str]:
    return [json.dumps(entry.facts()) for entry in entries]


def test_a_chain_that_was_left_alone_fits() -> None:
    entries = chain(5)
    verdict = verify(entries)
    assert verdict.holds
    assert (verdict.entries, verdict.first) == (5, 1)
    assert verdict.last == Head(entries[-1].hash, 5)
    assert verify(read_lines(exported(entries)), head=Head(entries[2].hash, 3)).holds
    assert verify([]).holds


def _changed(value: Any, draw: st.DrawFn) -> Any:
    """Something else of a kind that JSON has."""
    other = draw(st.none() | st.booleans() | st.integers(-3, 99) | st.text(max_size=5) | st.just({}) | st.just([1]))
    return other if json.dumps(other) != json.dumps(value) else [value]


@st.composite
def tampered(draw: st.DrawFn) -> tuple[list[str], int]:
    """The lines of a chain with one change in one field of one entry, and its position."""
    lines = [json.loads(line) for line in exported(chain(draw(st.integers(1, 6))))]
    at = draw(st.integers(0, len(lines) - 1))
    name = draw(st.sampled_from(sorted(lines[at])))
    inner = draw(st.sampled_from(sorted(lines[at]["detail"]))) if name == "detail" and draw(st.booleans()) else None
    if inner is not None:
        lines[at]["detail"][inner] = _changed(lines[at]["detail"][inner], draw)
    else:
        lines[at][name] = _changed(lines[at][name], draw)
    return [json.dumps(line) for line in lines], at + 1


@given(tampered())
def test_any_change_of_any_field_is_found_at_its_entry(made: tuple[list[str], int]) -> None:
    lines, position = made
    read: list[Entry] = []

    def reading() -> Any:
        for entry in read_lines(lines):
            read.append(entry)
            yield entry

    try:
        verdict = verify(reading())
    except InvalidRequest as error:
        named = error.detail
    else:
        assert not verdict.holds
        assert len(read) == position, "not found where it is"
        return
    assert f"line {position} " in named, "it is not even an entry any more"


@given(st.integers(3, 8), st.data())
def test_what_is_missing_repeated_or_out_of_order_is_found(length: int, data: st.DataObject) -> None:
    entries = chain(length)
    at = data.draw(st.integers(1, length - 2))
    assert not verify(entries[:at] + entries[at + 1 :]).holds
    assert not verify([*entries[: at + 1], *entries[at:]]).holds
    swapped = [*entries[:at], entries[at + 1], entries[at], *entries[at + 2 :]]
    assert verify(swapped).at == entries[at + 1].n
    assert not verify(entries[at:]).holds, "a stored chain can't begin in the middle"
    assert verify(entries[at:], whole=False).holds, "a part may"


def test_a_tail_that_was_cut_shows_against_a_head_noted_elsewhere() -> None:
    entries = chain(6)
    noted = Head(entries[5].hash, 6)
    assert verify(entries, head=noted).holds
    assert "the tail was cut off" in (verify(entries[:4], head=noted).fault or "")
    assert "written anew" in (verify(entries[:4], head=Head(entries[5].hash)).fault or "")
    anew = chain(6, "other")
    assert not verify(anew, head=noted).holds
    assert not verify([], head=noted).holds


def test_an_old_end_may_be_gone_only_if_the_chain_says_so() -> None:
    entries = chain(4)
    detail = {"n": 2, "hash": entries[1].hash, "entries": 2}
    cut = replace(entries[3], n=5, action=CUT, detail=detail, previous=entries[3].hash)
    cut = replace(cut, hash=cut.sealed())
    assert verify([*entries[2:], cut]).holds
    assert not verify([entries[3], cut]).holds, "more is gone than was said"
    assert "can't be checked" in (verify([*entries[2:], cut], head=Head(entries[0].hash, 1)).fault or "")


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"n": 1, "n": 2}', "null", "[" * 100_000])
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(InvalidRequest, match="line 2 "):
        list(read_lines([exported(chain(1))[0], line]))


@pytest.mark.parametrize("text", ["", "x", "7:", "a:" + "0" * 64, "G" * 64])
def test_a_head_is_a_hash_with_or_without_its_number(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Head.parse(text)
    assert Head.parse("0" * 64) == Head("0" * 64)
    assert Head.parse(f"12:{'a' * 64}") == Head("a" * 64, 12)


def test_the_lines_in_the_docs_find_it_too(repo_root: Path, tmp_path: Path) -> None:
    page = (repo_root / "docs" / "quality" / "audit.md").read_text()
    found = re.search(r"```python\n(import hashlib.*?)```", page, re.DOTALL)
    assert found is not None
    program, file = tmp_path / "check.py", tmp_path / "audit.jsonl"
    program.write_text(found[1])

    def run(lines: Sequence[str]) -> subprocess.CompletedProcess[str]:
        file.write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-I", str(program), str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    lines = exported(chain(5))
    good = run(lines)
    assert good.returncode == 0
    assert chain(5)[-1].hash in good.stdout
    assert run([lines[0].replace("ab12", "cd34"), *lines[1:]]).returncode == 1
    assert run([*lines[:1], *lines[2:]]).returncode == 1
    assert run([lines[0], lines[2], lines[1], *lines[3:]]).returncode == 1
