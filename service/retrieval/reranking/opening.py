"""From settings to a reranker that is ready to score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from service.retrieval.reranking.reranker import NoReranker, Reranker
from service.settings import RerankerProvider, RerankerSettings

_OPTIONS = (
    "PLUMBLINE_RERANKER__MODEL may be a folder that holds a cross-encoder, or a model id of a hub that can be "
    "reached; PLUMBLINE_RERANKER__PROVIDER=endpoint uses an endpoint, =none reranks nothing"
)


@contextmanager
def open_reranker(settings: RerankerSettings, models_dir: Path) -> Iterator[Reranker]:
    """The reranker that the settings name; a model's weights are in memory and have scored once.

    `models_dir` keeps fetched models. An endpoint is not asked here: it may be down and come back.

    Raises:
        ModelIntegrityError: weights whose hash is not the expected one.
        ModelUnavailable: no such model, not a cross-encoder, or it cannot be fetched.
    """
    with closing(_open(settings, models_dir)) as reranker:
        yield reranker


def _open(settings: RerankerSettings, models_dir: Path) -> Reranker:
    if settings.provider is RerankerProvider.NONE:
        return NoReranker()
    if settings.provider is RerankerProvider.ENDPOINT:
        from service.retrieval.reranking.endpoint import EndpointReranker

        return EndpointReranker(settings)
    from ingestion.corpus.embedders.resolution import WantedModel, resolve_files
    from service.retrieval.reranking.cross_encoder import CrossEncoderReranker

    assert settings.model is not None
    wanted = WantedModel(settings.model, settings.revision, settings.sha256, "PLUMBLINE_RERANKER__", _OPTIONS)
    return CrossEncoderReranker(resolve_files(wanted, models_dir), settings)
