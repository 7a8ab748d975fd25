"""Passages that say the same fold; whatever may matter keeps them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.records import Chunk, ChunkId, ElementKind, IndexedChunk, Span
from service.retrieval.folding import Folder, same
from tests.service.retrieval_parts import document_of, indexed

RUNBOOK = (
    "When the gateway answers with an error, look at the dashboard first and find out which upstream is meant. "
    "Then drain the host and run `kubectl rollout restart deployment/gateway` in the region that is affected. "
    "Wait until every instance has finished its open requests, and tell the people on call what was done."
)


@pytest.mark.parametrize(
    "copy",
    [
        RUNBOOK,
        RUNBOOK.replace("gateway answers", "Gateway  answers").replace(". Then", ".\n\nThen"),
        RUNBOOK.replace("error, look", "error: look").replace("drain the host", "**drain** the *host*"),
        RUNBOOK.replace("the dashboard", "the “dashboard”"),
        RUNBOOK + " This page is owned by Anna.",
        "Taken over from the wiki. " + RUNBOOK,
        RUNBOOK.replace(" Wait", "\nThe team reads this often. Wait"),
    ],
)
def test_copies_fold_whatever_their_layout(copy: str) -> None:
    assert same(indexed("a", RUNBOOK), indexed("b", copy))
    assert same(indexed("b", copy), indexed("a", RUNBOOK))


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("drain the host", "drain the hosts"),
        ("drain the host", "do not drain the host"),
        ("restart deployment/gateway", "restart deployment/billing"),
        ("rollout restart", "rollout undo"),
        ("kubectl rollout", "kubectl -n edge rollout"),
        ("drain the host", "stop the host"),
        ("gateway answers with an error", "gateway answers with error 502"),
        ("what was done.", "what was done. Then reboot the host."),
        ("what was done.", "what was done. This holds from 4.14 on."),
        ("what was done.", "what was done. Never skip this."),
        ("what was done.", "what was done. Try `uptime`."),
        ("the gateway answers", "the payments gateway answers"),
    ],
)
def test_a_difference_that_may_matter_keeps_them_apart(there: str, here: str) -> None:
    other = RUNBOOK.replace(there, here)

    assert other != RUNBOOK
    assert not same(indexed("a", RUNBOOK), indexed("b", other))
    assert not same(indexed("b", other), indexed("a", RUNBOOK))


def test_code_counts_to_the_letter() -> None:
    fenced = "Run this:\n\n```bash\nrm -rf {}\n```\n\nand wait for it."

    assert same(indexed("a", fenced.format("/tmp/x")), indexed("b", fenced.format("/tmp/x")))
    assert not same(indexed("a", fenced.format("/tmp/x .")), indexed("b", fenced.format("/tmp/x")))
    assert not same(indexed("a", fenced.format("-V x")), indexed("b", fenced.format("-v x")))
    # Code that carries no fence, as in a table of HTML.
    kinds = (ElementKind.CODE,)
    bare = [IndexedChunk(ChunkId(name), Chunk(0, Span(0, len(text)), text, (), kinds, 1), document_of(name))
            for name, text in (("a", "tar xf - ."), ("b", "tar xf -"))]  # fmt: skip
    assert not same(*bare)


def test_another_version_in_the_title_or_another_heading_keeps_them_apart() -> None:
    text = "Nothing has to be done by hand."

    assert same(indexed("a", text), indexed("b", text))
    old, new = (indexed("x", text, document_of(f"d{minor}", title=f"Upgrade to 4.{minor}")) for minor in (13, 14))
    assert not same(old, new)


def test_a_repeat_goes_to_the_first_of_its_kind_and_one_document_never_folds_into_itself() -> None:
    folder = Folder()
    first, second, third = indexed("a", RUNBOOK), indexed("b", "Something else."), indexed("c", RUNBOOK)
    again = IndexedChunk(ChunkId("again"), first.chunk, first.document)

    assert list(folder.fold([first, second, third, again])) == [first, second, again]
    assert folder.of(first) == (third,)
    assert folder.of(second) == ()


texts = st.lists(st.sampled_from(("the gateway waits", "GH-502", "no", "`ls -l`", "Then it ends.", "42")), max_size=6)


@given(parts=st.lists(texts.map(" ".join), max_size=12))
def test_each_passage_is_shown_or_listed_once_in_order(parts: list[str]) -> None:
    passages = [indexed(str(at), text) for at, text in enumerate(parts)]
    folder = Folder()

    kept = list(folder.fold(passages))

    listed = [passage for first in kept for passage in folder.of(first)]
    assert sorted(passage.id for passage in [*kept, *listed]) == sorted(passage.id for passage in passages)
    assert [passage.id for passage in kept] == [passage.id for passage in passages if passage in kept]
    for first in kept:
        assert all(same(first, folded) for folded in folder.of(first))
    assert Folder().of(passages[0]) == () if passages else True
