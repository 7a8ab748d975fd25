"""The budgets and habits of the house hold in every module, and each rule catches what it is for."""

from __future__ import annotations

from collections.abc import Callable

import grimp
import pytest

from tests.architecture import rules
from tests.architecture.repository import CODE, PRODUCT, sources
from tests.architecture.rules import Violation

Rule = Callable[[str, str], list[Violation]]

EVERYWHERE: tuple[Rule, ...] = (rules.check_module_length, rules.check_function_length, rules.check_docstring)
IN_THE_PRODUCT: tuple[Rule, ...] = (
    rules.check_parameters,
    rules.check_environment,
    rules.check_nothing_built_at_import,
)

# The only places that may catch everything, once each, and why: nothing can be assumed about the error there.
BOUNDARIES = {
    "ingestion/parsing/child.py": "the parser child: a library may raise anything about a hostile file",
    "ingestion/jobs/boundary.py": "the job runner: whatever ends one job must not end the worker",
    "service/api/edge.py": "the HTTP error edge: an unknown error becomes problem+json, without its details",
    "service/api/events.py": "the answer stream edge: after the first byte an error is an event",
}


def _broken(found: list[Violation]) -> str:
    return "\n".join(str(violation) for violation in found)


@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.__name__)
def test_rules_for_all_code_hold(rule: Rule) -> None:
    found = [violation for path, source in sources(*CODE).items() for violation in rule(path, source)]

    assert not found, _broken(found)


@pytest.mark.parametrize("rule", IN_THE_PRODUCT, ids=lambda rule: rule.__name__)
def test_rules_for_the_product_hold(rule: Rule) -> None:
    found = [violation for path, source in sources(*PRODUCT).items() for violation in rule(path, source)]

    assert not found, _broken(found)


def test_everything_is_caught_only_at_the_named_boundaries() -> None:
    found = [v for path, source in sources(*PRODUCT).items() for v in rules.broad_excepts(path, source)]
    elsewhere = [violation for violation in found if violation.path not in BOUNDARIES]

    assert not elsewhere, _broken(elsewhere)
    assert len(found) == len({violation.path for violation in found}), _broken(found)


def test_no_import_cycles() -> None:
    graph = grimp.build_graph(*PRODUCT, include_external_packages=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    assert rules.find_cycle(imports) is None


def test_the_rules_see_the_code() -> None:
    """A rule over no files would hold for ever."""
    assert len(sources("ingestion")) > 10
    assert len(sources("service")) > 5
    assert "tests/architecture/rules.py" in sources(*CODE)


BAD: list[tuple[Rule, str, str]] = [
    (rules.check_module_length, "service/a.py", "x = 1\n" * 401),
    (rules.check_function_length, "service/a.py", "def f():\n" + "    x = 1\n" * 60),
    (rules.check_function_length, "service/a.py", "class A:\n  @decorated\n  def f(self):\n" + "    x = 1\n" * 59),
    (rules.check_parameters, "service/a.py", "def f(a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/a.py", "def f(a, b, /, c, *args, d, e, **kwargs): ..."),
    (rules.check_parameters, "service/a.py", "class A:\n  def f(self, a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/a.py", "class A:\n  @staticmethod\n  def f(a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/a.py", "@app.command()\ndef f(a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/cli/a.py", "def f(a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/retrieval/a.py", "@router.get('/')\ndef f(a, b, c, d, e, f, g): ..."),
    (rules.check_environment, "service/a.py", "import os\nx = os.environ['HOME']"),
    (rules.check_environment, "service/a.py", "import os\ndef f():\n  return os.getenv('HOME')"),
    (rules.check_environment, "ingestion/corpus/settings.py", "from os import environ"),
    (rules.broad_excepts, "service/a.py", "try:\n  f()\nexcept Exception:\n  pass"),
    (rules.broad_excepts, "service/a.py", "try:\n  f()\nexcept:\n  pass"),
    (rules.broad_excepts, "service/a.py", "try:\n  f()\nexcept (ValueError, BaseException) as e:\n  raise"),
    (rules.broad_excepts, "service/a.py", "with contextlib.suppress(Exception):\n  f()"),
    (rules.check_nothing_built_at_import, "service/a.py", "engine = sqlalchemy.create_engine('sqlite://')"),
    (rules.check_nothing_built_at_import, "service/a.py", "class A:\n  settings = ServiceSettings()"),
    (rules.check_nothing_built_at_import, "service/a.py", "def f(client=httpx.Client()): ..."),
    (rules.check_nothing_built_at_import, "service/a.py", "LOCK = threading.Lock()"),
    (rules.check_nothing_built_at_import, "service/a.py", "QUERIES = prometheus_client.Counter('q', 'queries')"),
    (rules.check_nothing_built_at_import, "service/a.py", "def f():\n  global x\n  x = 1"),
    (rules.check_docstring, "service/a.py", "x = 1"),
]


@pytest.mark.parametrize(("rule", "path", "source"), BAD)
def test_a_violation_is_caught(rule: Rule, path: str, source: str) -> None:
    assert len(rule(path, source)) == 1


GOOD: list[tuple[Rule, str, str]] = [
    (rules.check_module_length, "service/a.py", "x = 1\n" * 400),
    (rules.check_function_length, "service/a.py", "def f():\n" + "    x = 1\n" * 59),
    (rules.check_parameters, "service/a.py", "class A:\n  def f(self, a, b, c, d, e, f): ..."),
    (rules.check_parameters, "service/cli/a.py", "@app.command()\ndef f(a, b, c, d, e, f, g): ..."),
    (rules.check_parameters, "service/api/a.py", "@router.get('/')\ndef f(a, b, c, d, e, f, g): ..."),
    (rules.check_environment, "service/settings.py", "import os\nx = os.environ"),
    (rules.broad_excepts, "service/a.py", "try:\n  f()\nexcept (ValueError, OSError):\n  pass"),
    (rules.check_nothing_built_at_import, "service/a.py", "def f():\n  return create_engine('sqlite://')"),
    (rules.check_nothing_built_at_import, "service/a.py", "x: A = Field(default_factory=lambda: LLMSettings())"),
    (rules.check_nothing_built_at_import, "service/a.py", "if __name__ == '__main__':\n  run_server()"),
    (rules.check_docstring, "service/a.py", '"""What it is for."""'),
    (rules.check_docstring, "service/ui/__init__.py", ""),
]


@pytest.mark.parametrize(("rule", "path", "source"), GOOD)
def test_what_is_allowed_passes(rule: Rule, path: str, source: str) -> None:
    assert rule(path, source) == []


def test_a_cycle_is_found() -> None:
    straight = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert rules.find_cycle(straight) is None
    assert rules.find_cycle({**straight, "c": {"a"}}) in (["a", "b", "c", "a"], ["a", "c", "a"])
    assert rules.find_cycle({"a": {"a"}}) == ["a", "a"]
