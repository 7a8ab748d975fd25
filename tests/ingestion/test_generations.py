"""Another model or chunker: built beside, switched in one step, rolled back; no search fails or shows what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import update

from ingestion.corpus import tables
from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.literal import literal_text
from ingestion.corpus.records import DocumentId, DocumentSource, ParsedDocument
from ingestion.corpus.versions import GenerationState
from ingestion.corpus.writer import EmbeddedChunk
from ingestion.errors import ConfigurationError, Conflict, NotFound, Overtaken
from ingestion.pipeline import OutcomeStatus, draft_of
from ingestion.rebuilding import Rebuilder, RebuildProgress, Watch
from ingestion.settings import Settings
from tests.ingestion.corpora import SCOPE, markdown, open_bench, settings_for, stored
from tests.ingestion.generations import pumps, reading, with_other_model, with_smaller_chunks


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path) -> Settings:
    return settings_for(tmp_path / "data", models_dir)


def _fresh(settings: Settings, folder: Path, *sources: DocumentSource) -> dict[str, object]:
    """What a corpus holds into which these documents were ingested at once."""
    with open_bench(settings.model_copy(update={"data_dir": folder})) as bench:
        bench.ingest(*sources)
        return stored(bench.corpus)


def _states(rebuilder: Rebuilder) -> dict[str, GenerationState]:
    return {status.generation.name: status.generation.state for status in rebuilder.generations()}


def test_another_model_is_served_after_the_switch_and_the_first_one_again_after_going_back(
    settings: Settings, tmp_path: Path
) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(40))
        first = bench.corpus.index_version
        assert bench.corpus.wanted is None
    changed = with_other_model(settings)
    with open_bench(changed) as bench, reading(bench.corpus) as readers:
        rebuilder = Rebuilder(bench.corpus)
        assert bench.corpus.index_version == first
        assert bench.corpus.wanted is not None
        assert bench.corpus.wanted.automatic
        assert bench.ingest(*pumps(40))[0].status is OutcomeStatus.UNCHANGED

        def change(progress: RebuildProgress) -> None:
            """While it is built: one document is replaced, one goes, one comes."""
            if progress.done and not readers.gone:
                bench.ingest(markdown("pump-1", "# Pump 1\n\nPump 1 primes itself.\n"))
                bench.corpus.delete_document(SCOPE, DocumentId("pump-2"))
                bench.ingest(markdown("new", "# New\n\nThe new pump needs no priming.\n"))
                readers.gone |= {"Pump 1 is primed", "Pump 2 is primed"}

        report = rebuilder.rebuild(watch=Watch(progress=change))
        second = bench.corpus.index_version
        assert report.generation == second != first
        assert report.embedded >= 40
        assert bench.corpus.wanted is None
        assert bench.corpus.embedder.name.startswith("model@")
        sources = pumps(40)
        sources[1:3] = [markdown("pump-1", "# Pump 1\n\nPump 1 primes itself.\n")]
        sources.append(markdown("new", "# New\n\nThe new pump needs no priming.\n"))
        assert {outcome.status for outcome in bench.ingest(*sources)} == {OutcomeStatus.UNCHANGED}
        assert _states(rebuilder) == {first: GenerationState.STANDBY, second: GenerationState.ACTIVE}

        bench.ingest(markdown("pump-3", "# Pump 3\n\nPump 3 primes itself.\n"))
        bench.corpus.delete_document(SCOPE, DocumentId("pump-4"))
        readers.gone |= {"Pump 3 is primed", "Pump 4 is primed"}
        sources[2:4] = [markdown("pump-3", "# Pump 3\n\nPump 3 primes itself.\n")]
        assert rebuilder.roll_back() == first
        assert bench.corpus.index_version == first
        assert _states(rebuilder) == {first: GenerationState.ACTIVE, second: GenerationState.LEFT}
        assert {outcome.status for outcome in bench.ingest(*sources)} == {OutcomeStatus.UNCHANGED}
    assert readers.generations == {first, second}

    with open_corpus(changed) as corpus:
        assert corpus.wanted is not None
        assert not corpus.wanted.automatic
        rebuilder = Rebuilder(corpus)
        assert rebuilder.rebuild().embedded == 0
        rebuilder.drop(first)
        held = stored(corpus)
    fresh = _fresh(changed, tmp_path / "fresh", *sources)
    assert held == fresh


def test_another_chunker_embeds_only_what_it_cuts_differently(settings: Settings, tmp_path: Path) -> None:
    same = markdown("same", "# Same\n\nToo short to be cut in any way.\n")
    with open_bench(settings) as bench:
        bench.ingest(same, *pumps(5))
    changed = with_smaller_chunks(settings)
    with open_bench(changed) as bench:
        report = Rebuilder(bench.corpus).rebuild()
        assert report.documents == 6
        assert 0 < report.embedded < report.chunks
        assert {outcome.status for outcome in bench.ingest(same, *pumps(5))} == {OutcomeStatus.UNCHANGED}
        Rebuilder(bench.corpus).drop(
            next(status.generation.name for status in Rebuilder(bench.corpus).generations() if not status.wanted)
        )
        held = stored(bench.corpus)
        assert len(list((settings.data_dir / "index").iterdir())) == 1
    assert held == _fresh(changed, tmp_path / "fresh", same, *pumps(5))


def test_a_build_that_was_stopped_goes_on_where_it_was(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(300))
    with open_corpus(with_smaller_chunks(settings)) as corpus:
        seen: list[int] = []
        watch = Watch(progress=lambda told: seen.append(told.done), should_stop=lambda: any(seen))
        first = Rebuilder(corpus).build(watch=watch)
        assert not first.complete
        assert 0 < first.documents < 300
    with open_corpus(with_smaller_chunks(settings)) as corpus:
        second = Rebuilder(corpus).rebuild()
        assert second.complete
        assert first.documents + second.documents == 300
        assert corpus.index_version == second.generation


def test_what_is_written_into_a_generation_that_was_left_is_refused_and_tried_again(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(3))
    with open_bench(with_smaller_chunks(settings)) as bench:

        def sources() -> Iterator[DocumentSource]:
            yield markdown("late", "# Late\n\nLate to the party.\n")
            Rebuilder(bench.corpus).rebuild()

        with pytest.raises(Overtaken):
            list(bench.pipeline.ingest(SCOPE, sources()))
        assert bench.corpus.find_exact(SCOPE, "Late to") == ()
        (outcome,) = bench.ingest(markdown("late", "# Late\n\nLate to the party.\n"))
        assert outcome.status is OutcomeStatus.CREATED
        assert len(bench.corpus.find_exact(SCOPE, "Late to")) == 1


def test_only_one_earlier_generation_is_kept(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(2))
        with pytest.raises(NotFound):
            Rebuilder(bench.corpus).roll_back()
        with pytest.raises(Conflict):
            Rebuilder(bench.corpus).drop(bench.corpus.index_version)
    chunking = settings.chunking
    for most in (60, 70):
        smaller = settings.model_copy(update={"chunking": chunking.model_copy(update={"max_tokens": most})})
        with open_corpus(smaller) as corpus:
            Rebuilder(corpus).rebuild()
            states = sorted(_states(Rebuilder(corpus)).values())
            assert states == [GenerationState.ACTIVE, GenerationState.STANDBY]
            assert len(list((settings.data_dir / "index").iterdir())) == 2
            with corpus.database.connect() as connection:
                rows = connection.execute(tables.versions.select()).all()
            assert len(rows) == 4


def test_a_folder_of_the_program_before_is_served_as_it_is_and_rebuilt_from_its_chunks(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(3))
        name = bench.corpus.index_version
        with bench.corpus.database.begin() as connection:
            empty = {"chunker": "", "embedder_settings": None, "chunking_settings": None}
            connection.execute(update(tables.generations).values(empty))
            connection.execute(update(tables.versions).values(elements=None))
    with open_bench(with_other_model(settings)) as bench:
        assert bench.corpus.index_version == name
        assert bench.corpus.wanted is not None
        before = [hit.chunk.text for hit in bench.corpus.find_exact(SCOPE, "Pump")]
        Rebuilder(bench.corpus).rebuild()
        after = bench.corpus.find_exact(SCOPE, "Pump")
        assert sorted(before) == sorted(hit.chunk.text for hit in after)
        content = bench.corpus.get_content(SCOPE, DocumentId("pump-1"))
        assert all(h.chunk.span.of(content.text) == h.chunk.text for h in after if h.document.id == "pump-1")
    with open_corpus(settings) as corpus:
        assert corpus.wanted is not None


def test_a_folder_of_the_program_before_stays_as_it_is_under_the_same_settings(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(1))
        name = bench.corpus.index_version
        with bench.corpus.database.begin() as connection:
            empty = {"chunker": "", "embedder_settings": None, "chunking_settings": None}
            connection.execute(update(tables.generations).values(empty))
    with open_corpus(settings) as corpus:
        assert corpus.wanted is None
        assert corpus.index_version == name
        generation = corpus.generations.active()
        assert generation is not None
        assert generation.chunker != ""
        assert generation.embedder_settings is not None


def test_another_lexical_encoding_is_served_and_asks_for_a_rebuild(settings: Settings) -> None:
    with open_bench(settings) as bench:
        bench.ingest(*pumps(3))
        old = bench.corpus.index_version
        with bench.corpus.database.begin() as connection:
            connection.execute(update(tables.generations).values(lexical="of-old", name="v1-old"))
            connection.execute(update(tables.versions).values(generation="v1-old"))
            connection.execute(update(tables.chunk_texts).values(generation="v1-old"))
    index = settings.data_dir / "index"
    (index / f"plumbline-{old}").rename(index / "plumbline-v1-old")
    with open_corpus(settings) as corpus:
        assert corpus.index_version == "v1-old"
        assert corpus.wanted is not None
        assert corpus.wanted.automatic
        assert len(corpus.find_exact(SCOPE, "is primed")) == 3


def test_weights_that_are_gone_are_a_clear_error(settings: Settings, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.symlink_to(with_other_model(settings).embedder.model)
    own = settings.model_copy(update={"embedder": settings.embedder.model_copy(update={"model": str(mine)})})
    with open_corpus(own):
        pass
    mine.unlink()
    with pytest.raises(ConfigurationError, match=r"can't be opened .*mine"), open_corpus(settings):
        pass


def test_a_secret_is_not_stored(settings: Settings) -> None:
    keyed = settings.model_copy(update={"embedder": settings.embedder.model_copy(update={"api_key": "sk-secret"})})
    with open_corpus(keyed) as corpus:
        generation = corpus.generations.active()
    assert generation is not None
    assert "api_key" not in (generation.embedder_settings or {})


def test_two_writers_of_one_version_end_as_one(settings: Settings) -> None:
    source = markdown("twice", "# Twice\n\nwritten by two\n")
    with open_bench(settings) as bench:
        bench.ingest(markdown("other", "# Other\n\nwritten by one\n"))
        (hit,) = bench.corpus.find_exact(SCOPE, "written by one")
        draft = draft_of(SCOPE, source, datetime.now(UTC), bench.corpus.index_version)
        (dense,) = bench.corpus.embedder.embed_documents(["written by two"])
        literal = literal_text("written by two", [hit.chunk], 0)
        barrier, failures = Barrier(2, timeout=60), []

        def write() -> None:
            writer = bench.corpus.writer
            try:
                for _ in range(3):
                    barrier.wait()
                    writer.stage(SCOPE, draft, ParsedDocument("written by two", (), "Twice", "text/markdown"), ())
                    writer.add_chunks(SCOPE, draft, [EmbeddedChunk(hit.chunk, "any", dense, literal)])
                    barrier.wait()
                    writer.publish(SCOPE, draft, chunk_count=1)
            except Exception as error:  # noqa: BLE001 - told to the test's own thread
                failures.append(error)
                barrier.abort()

        threads = [Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        held = stored(bench.corpus)
        assert {point[0] for point in held["points"]} == {chunk[0] for chunk in held["chunks"]}  # type: ignore[attr-defined]
        assert bench.corpus.get_document(SCOPE, DocumentId("twice")).chunk_count == 1
