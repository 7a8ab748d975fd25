"""Prices: sourced, dated, only where they hold; a table that is wrong stops the start."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import ConfigurationError
from service.generation.models.llm import Usage
from service.generation.models.pricing import Price, PriceTable, load_prices

PRICE = Price(model="m", input_usd=1, cached_input_usd=0.1, output_usd=10, source="a test", date=date(2026, 11, 1))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_price_is_never_negative_and_cached_input_never_dearer(prompt: int, cached: int, written: int) -> None:
    cost = PRICE.cost_usd(Usage(prompt, written, cached_prompt_tokens=cached))
    plain = PRICE.cost_usd(Usage(prompt, written))
    assert cost is not None
    assert plain is not None
    assert 0 <= cost <= plain


def test_the_shipped_prices_are_sourced_and_dated() -> None:
    table = load_prices()
    assert len(table.prices) >= 12
    price = table.find("gpt-4o-mini-2024-07-18", "https://api.openai.com/v1")
    assert price is not None
    assert (price.input_usd, price.output_usd) == (0.15, 0.60)
    for one in table.prices:
        assert one.endpoint, f"{one.model} has a price at any address"
        assert one.source
        assert date(2025, 11, 1) < one.date <= date(2026, 11, 21)


def test_a_price_holds_at_its_address_only() -> None:
    table = load_prices()
    assert table.find("gpt-4o-mini", "http://127.0.0.1:8091/v1") is None
    assert table.find("gpt-unheard-of", "https://api.openai.com/v1") is None


def test_prices_can_be_added_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    row = '[[price]]\nmodel = "{}"\n{}input_usd = 7\noutput_usd = 8\nsource = "our books"\ndate = 2026-11-20\n'
    path.write_text(row.format("qwen", "") + row.format("gpt-4o", 'endpoint = "api.openai.com"\n'))
    table = load_prices(path)
    for model, address in [("qwen", "http://127.0.0.1:8091/v1"), ("gpt-4o", "https://api.openai.com/v1")]:
        price = table.find(model, address)
        assert price is not None
        assert price.input_usd == 7
    assert table.find("gpt-4o-mini", "https://api.openai.com/v1") is not None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[[price]", "not TOML"),
        ('[[price]]\nmodel = "m"\n', "price.1.input_usd"),
        ('[[price]]\nmodel = "m"\ninput_usd = -1\noutput_usd = 1\nsource = "s"\ndate = 2026-01-01\n', "input_usd"),
        ('[[price]]\nmodel = "m"\ninput_usd = 1\noutput_usd = 1\nsource = "s"\ndate = 2026-01-01\neur = 1\n', "eur"),
        ("prices = 1", "price"),
        (b"\xff\xfe\x00", "can't be read"),
    ],
)
def test_a_bad_price_table_is_a_clear_error(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_prices(path)
    assert "PLUMBLINE_LLM__PRICES" in caught.value.detail


def test_a_missing_price_table_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PLUMBLINE_LLM__PRICES"):
        load_prices(tmp_path / "none.toml")


def test_what_was_said_last_holds() -> None:
    dearer = PRICE.model_copy(update={"input_usd": 5.0})
    assert PriceTable([PRICE, dearer]).find("m", "http://x/v1") == dearer
