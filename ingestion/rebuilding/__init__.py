"""Another model or chunker without downtime: a generation is built beside the one that is searched, then switched."""

from ingestion.rebuilding.building import RebuildProgress, RebuildStage, Watch
from ingestion.rebuilding.rebuilder import GenerationStatus, Rebuilder, RebuildReport

__all__ = ["GenerationStatus", "RebuildProgress", "RebuildReport", "RebuildStage", "Rebuilder", "Watch"]
