"""The filter expression of the HTTP contract: its model and checks; each index engine compiles it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Filter(BaseModel):
    """`{"must": [...], "must_not": [...], "should": [...]}` over document fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
