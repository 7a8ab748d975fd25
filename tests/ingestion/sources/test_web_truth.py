"""A site that is edited and fails at random: a scan without failures finds exactly it, one with failures loses nothing.

The oracle knows the links between the pages; the origin sees what the server says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import SourceUnavailable
from ingestion.sources.origin import End
from tests.ingestion.sources.servers import Reply, page, redirect, running_site
from tests.ingestion.sources.sites import Reader

NAMES = ["/", "/a", "/b", "/c", "/d", "/e"]
FAILURES = [Reply(status=status) for status in (500, 503, 403, 418)] + [
    redirect("https://sso.example/login", 302),
    redirect("/a", 307),
    Reply(headers={"Content-Encoding": "gzip", "Content-Type": "text/html"}, body=b"no gzip"),
]


@dataclass
class Step:
    """Links of each page, None for a page that does not exist; pages that fail, with what they answer."""

    links: dict[str, list[str] | None]
    failing: dict[str, int]
    texts: dict[str, int] = field(default_factory=dict)

    def reachable(self) -> set[str]:
        found: set[str] = set()
        waiting = ["/"]
        while waiting:
            name = waiting.pop()
            links = self.links.get(name)
            if name not in found and links is not None:
                found.add(name)
                waiting += links
        return found

    def replies(self) -> dict[str, Reply | list[Reply]]:
        pages: dict[str, Reply | list[Reply]] = {
            name: page(*links, text=f"Text {self.texts.get(name, 0)} of {name}.")
            for name, links in self.links.items()
            if links is not None
        }
        return pages | {name: FAILURES[kind] for name, kind in self.failing.items() if name in pages}


some_names = st.lists(st.sampled_from(NAMES), max_size=4, unique=True)
sites = st.fixed_dictionaries(
    {"/": some_names, **{name: st.none() | some_names for name in NAMES[1:]}}  # type: ignore[arg-type]
)
steps = st.builds(
    Step,
    links=sites,
    failing=st.dictionaries(st.sampled_from(NAMES), st.integers(0, len(FAILURES) - 1), max_size=3),
    texts=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3)),
)


def test_scans_end_in_the_truth_and_failures_lose_nothing_of_it() -> None:
    with running_site() as site:

        @settings(max_examples=150, deadline=None)
        @given(st.lists(steps, min_size=1, max_size=5))
        def check(history: list[Step]) -> None:
            reader = Reader(site)
            for step in history:
                before = reader.known()
                site.pages = step.replies()
                truth = step.reachable()
                try:
                    complete = reader.scan().end == End(complete=True)
                except SourceUnavailable:
                    complete = False
                    assert reader.known() == before, "a source that is unavailable changes nothing"
                assert reader.known() >= before & truth, "what is there was deleted"
                if not step.failing and complete:
                    assert reader.known() == truth

            settled = Step(history[-1].links, {}, history[-1].texts)
            site.pages = settled.replies()
            try:
                end = reader.scan().end
            except SourceUnavailable as error:
                # A start page without one of its former links, whose pages are still there, is not believed.
                if "former links" not in error.detail:
                    raise
                return
            assert end == End(complete=True)
            assert reader.known() == settled.reachable()
            assert not reader.scan().fetched, "nothing changed since"

        check()
