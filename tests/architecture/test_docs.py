"""Nothing that a user can set, call, watch or be refused by is missing from the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

import service.errors  # noqa: F401 - its errors join the tree
from docs import generate
from ingestion.errors import PlumblineError, RejectionCode
from service.api.problems import STATUSES
from service.app import create_app
from service.errors import ModelFailureReason
from service.ledger.metrics import METRICS
from service.settings import ServiceSettings
from tests.architecture.repository import REPO, sources

DOCS = REPO / "docs"
_ENVVAR = re.compile(r"envvar=\"(\w+)\"")


def _unnamed(names: Iterable[str], page: str) -> list[str]:
    """Names that the page does not show in backquotes."""
    return [name for name in names if f"`{name}`" not in page]


def _error_codes(root: type[PlumblineError]) -> set[str]:
    return {root.code}.union(*(_error_codes(kind) for kind in root.__subclasses__()))


def test_every_setting_is_documented() -> None:
    names = [name for name, _ in generate.variables()]

    assert len(names) > 30
    assert _unnamed(names, (DOCS / "settings.md").read_text("utf-8")) == []


def test_every_variable_of_the_command_line_is_documented() -> None:
    found = {name for source in sources("ingestion", "service").values() for name in _ENVVAR.findall(source)}

    assert _unnamed(sorted(found), (DOCS / "settings.md").read_text("utf-8")) == []


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in generate.variables() if not field.description] == []


def test_every_metric_is_documented() -> None:
    assert _unnamed([metric.name for metric in METRICS], (DOCS / "metrics.md").read_text("utf-8")) == []


def test_every_error_code_is_documented() -> None:
    codes = _error_codes(PlumblineError)

    assert "model_failure" in codes
    assert _unnamed(sorted(codes), (DOCS / "errors.md").read_text("utf-8")) == []


def test_every_status_of_an_error_is_documented() -> None:
    page = (DOCS / "errors.md").read_text("utf-8")

    assert [code for code, (status, _) in STATUSES.items() if f"| `{code}` | {status} |" not in page] == []


def test_every_route_is_documented() -> None:
    paths = create_app(ServiceSettings()).openapi()["paths"]
    calls = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]

    assert len(calls) > 10
    assert _unnamed(calls, (DOCS / "api.md").read_text("utf-8")) == []


@pytest.mark.parametrize("reasons", [RejectionCode, ModelFailureReason], ids=lambda reasons: reasons.__name__)
def test_every_reason_is_documented(reasons: type[StrEnum]) -> None:
    assert _unnamed([reason.value for reason in reasons], (DOCS / "errors.md").read_text("utf-8")) == []


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: page.name)
def test_generated_pages_are_current(page: Path) -> None:
    text = page.read_text("utf-8")

    assert generate.rendered(text) == text, "run `make docs`"


def test_an_undocumented_name_is_caught() -> None:
    class Inner(BaseModel):
        new: int = 1

    class Outer(BaseModel):
        plain: str = Field("", description="known")
        inner: Inner = Inner()

    names = [name for name, _ in generate.variables(Outer)]

    assert names == ["PLUMBLINE_PLAIN", "PLUMBLINE_INNER__NEW"]
    assert _unnamed(names, "| `PLUMBLINE_PLAIN` | `PLUMBLINE_INNER__NEWER` |") == ["PLUMBLINE_INNER__NEW"]


def test_a_stale_page_is_caught() -> None:
    current = generate.rendered((DOCS / "settings.md").read_text("utf-8"))
    stale = current.replace("PLUMBLINE_DATA_DIR", "PLUMBLINE_OLD")

    assert stale != current
    assert generate.rendered(stale) == current
    with pytest.raises(KeyError):
        generate.rendered("<!-- generated: nothing -->\n<!-- end -->")


def test_links_between_pages_resolve() -> None:
    missing = []
    for page in [*REPO.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in generate.relative_links(page.read_text("utf-8")):
            if not (page.parent / target).exists():
                missing.append(f"{page.relative_to(REPO)}: {target}")

    assert missing == []


def test_a_broken_link_is_seen() -> None:
    page = "[a](decisions/1.md#part) ![b](img/x.png) [c](https://example.org) [d](#here)\n```\n[e](no.md)\n```\n"

    assert generate.relative_links(page) == ["decisions/1.md", "img/x.png"]
