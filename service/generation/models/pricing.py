"""What tokens cost, from a table with sources and dates. Leaves counting them to `metering`.

A price belongs to a model at an endpoint: the same name may be another's, cheaper or free. So the shipped prices hold
only at the addresses that they name, and what is not in the table has no price, which is not the price 0.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingestion.errors import ConfigurationError
from service.generation.models.llm import Usage

_MILLION = 1_000_000
_SNAPSHOT = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})$")
"""The date that pins a model's version: `gpt-4o-mini-2024-07-18` costs what `gpt-4o-mini` does."""


class Price(BaseModel):
    """US dollars per million tokens of one model. Without `endpoint` at any address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    endpoint: str | None = Field(None, min_length=1)
    input_usd: float = Field(ge=0)
    cached_input_usd: float | None = Field(None, ge=0)
    output_usd: float = Field(ge=0)
    source: str = Field(min_length=1)
    date: date

    @model_validator(mode="after")
    def _is_plausible(self) -> Self:
        if self.cached_input_usd is not None and self.cached_input_usd > self.input_usd:
            raise ValueError("cached input costs more than input")
        return self

    def cost_usd(self, usage: Usage) -> float | None:
        """What the usage costs; None where a count is missing. Without a price of its own, cached input is input."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = min(usage.cached_prompt_tokens, usage.prompt_tokens)
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        fresh = usage.prompt_tokens - cached
        return (fresh * self.input_usd + cached * cached_usd + usage.completion_tokens * self.output_usd) / _MILLION


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    price: list[Price]


class PriceTable:
    """Prices by endpoint and model; a later one replaces an earlier one of the same two."""

    def __init__(self, prices: list[Price]) -> None:
        self._prices = {(price.endpoint, price.model): price for price in prices}

    @property
    def prices(self) -> tuple[Price, ...]:
        """Every price there is."""
        return tuple(self._prices.values())

    def find(self, model: str, base_url: str) -> Price | None:
        """The price of that model at that address: by its whole name, else by that without the date of a snapshot."""
        host = urlsplit(base_url).hostname
        for name in dict.fromkeys((model, _SNAPSHOT.sub("", model))):
            for endpoint in (None, host):
                if (price := self._prices.get((endpoint, name))) is not None:
                    return price
        return None


def load_prices(extra: Path | None = None) -> PriceTable:
    """The shipped prices, with those of a file before them.

    Raises: ConfigurationError that says what is wrong with the file.
    """
    shipped = files("service.generation.models").joinpath("prices.toml").read_text("utf-8")
    prices = _read(shipped, "the shipped price table")
    if extra is None:
        return PriceTable(prices)
    try:
        text = extra.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the price table {extra} (PLUMBLINE_LLM__PRICES) can't be read: {error}") from error
    return PriceTable([*prices, *_read(text, f"the price table {extra} (PLUMBLINE_LLM__PRICES)")])


def _read(text: str, name: str) -> list[Price]:
    try:
        return _PriceFile.model_validate(tomllib.loads(text)).price
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{_place(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"{name} is wrong at {wrong}; docs/models.md has its form") from error


def _place(where: tuple[int | str, ...]) -> str:
    return ".".join(f"{part + 1}" if isinstance(part, int) else part for part in where)
