"""The house rules as functions from source text to violations; what the repository contains is left to the tests.

Every rule takes the path of a module relative to the repository and its source, so that a test can feed it
a small bad module as a string and see it caught.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 6

# The signature of these functions is the interface that a framework reads: one parameter per option of a command,
# or per part of a request. They may have more parameters; their length is bounded like that of any function.
COMMAND_PATHS = ("ingestion/cli.py", "service/cli")
COMMAND_DECORATORS = frozenset({"command", "callback"})
ROUTE_PATHS = ("service/api",)
ROUTE_DECORATORS = frozenset({"get", "post", "put", "patch", "delete"})

ENVIRONMENT_READERS = frozenset({"ingestion/settings.py", "service/settings.py"})
ENVIRONMENT_NAMES = frozenset({"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"})

# What opens, connects, starts or holds something: never at import.
_BUILDS_AT_IMPORT = re.compile(
    r"^(open|create|connect|load|start|run|build|make)_"
    r"|^(open|connect|Thread|Process|Lock|RLock|Semaphore|Event|Queue|ThreadPoolExecutor|ProcessPoolExecutor)$"
    r"|^(Counter|Gauge|Histogram|Summary|CollectorRegistry)$"
    r"|(Settings|Client|Engine|Pool|Session|sessionmaker|OpenAI|SentenceTransformer|FastAPI|DBOS|Stemmer)$"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule at one place."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def functions(tree: ast.Module) -> Iterator[tuple[Function, bool]]:
    """Every function of a module with whether it is a method, nested ones included."""
    for parent in ast.walk(tree):
        for child in ast.iter_child_nodes(parent):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child, isinstance(parent, ast.ClassDef)


def check_module_length(path: str, source: str) -> list[Violation]:
    lines = len(source.splitlines())
    return [Violation(path, 1, f"{lines} lines, at most {MAX_MODULE_LINES}")] if lines > MAX_MODULE_LINES else []


def check_function_length(path: str, source: str) -> list[Violation]:
    """Decorators count: they are part of what a reader has to hold in mind."""
    found = []
    for function, _ in functions(ast.parse(source)):
        start = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        lines = (function.end_lineno or function.lineno) - start + 1
        if lines > MAX_FUNCTION_LINES:
            found.append(Violation(path, start, f"{function.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"))
    return found


def check_parameters(path: str, source: str) -> list[Violation]:
    """Positional, keyword-only and starred parameters count; `self` and `cls` do not."""
    found = []
    for function, is_method in functions(ast.parse(source)):
        if _is_framework_signature(path, function):
            continue
        spec = function.args
        count = len(spec.posonlyargs) + len(spec.args) + len(spec.kwonlyargs)
        count += (spec.vararg is not None) + (spec.kwarg is not None)
        count -= is_method and "staticmethod" not in _decorator_names(function)
        if count > MAX_PARAMETERS:
            found.append(
                Violation(path, function.lineno, f"{function.name} has {count} parameters, at most {MAX_PARAMETERS}")
            )
    return found


def check_environment(path: str, source: str) -> list[Violation]:
    """The environment is read in the two `settings.py` and nowhere else."""
    if path in ENVIRONMENT_READERS:
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        through_os = (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and node.attr in ENVIRONMENT_NAMES
        )
        imported = (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(alias.name in ENVIRONMENT_NAMES for alias in node.names)
        )
        if through_os or imported:
            assert isinstance(node, ast.Attribute | ast.ImportFrom)
            found.append(Violation(path, node.lineno, "uses the process environment; only settings.py may"))
    return found


def broad_excepts(path: str, source: str) -> list[Violation]:
    """`except Exception`, `except BaseException`, a bare `except`, and `suppress` of these."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _names_broad(node.type)):
            found.append(Violation(path, node.lineno, "catches everything"))
        elif isinstance(node, ast.Call) and _called_name(node) == "suppress" and any(map(_names_broad, node.args)):
            found.append(Violation(path, node.lineno, "suppresses everything"))
    return found


def check_nothing_built_at_import(path: str, source: str) -> list[Violation]:
    """No call that opens, connects, starts or holds something while a module is imported, and no `global`.

    `migrations/env.py` is a script that Alembic runs, not a module that anything imports.
    """
    if path.endswith("/migrations/env.py"):
        return []
    tree = ast.parse(source)
    found = [
        Violation(path, node.lineno, f"`global {', '.join(node.names)}`: state belongs to an object")
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    for node in _run_at_import(tree):
        if isinstance(node, ast.Call) and _BUILDS_AT_IMPORT.search(_called_name(node)):
            found.append(Violation(path, node.lineno, f"{_called_name(node)}() runs at import"))
    return found


def check_docstring(path: str, source: str) -> list[Violation]:
    """One sentence of purpose opens every module; an empty `__init__.py` has nothing to say."""
    if not source.strip() or ast.get_docstring(ast.parse(source)):
        return []
    return [Violation(path, 1, "the module has no docstring")]


def find_cycle(imports: dict[str, set[str]]) -> list[str] | None:
    """One import cycle as a list of modules whose last equals its first, or None. Iterative depth-first search."""
    done: set[str] = set()
    for root in sorted(imports):
        trail: list[str] = []
        pending = [(root, False)]
        while pending:
            module, leaving = pending.pop()
            if leaving:
                trail.pop()
                done.add(module)
            elif module in trail:
                return [*trail[trail.index(module) :], module]
            elif module not in done:
                trail.append(module)
                pending.append((module, True))
                pending.extend((target, False) for target in sorted(imports.get(module, ())))
    return None


def _is_framework_signature(path: str, function: Function) -> bool:
    decorators = {
        decorator.func.attr
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
    }
    places = ((COMMAND_PATHS, COMMAND_DECORATORS), (ROUTE_PATHS, ROUTE_DECORATORS))
    return any(_lies_in(path, paths) and not decorators.isdisjoint(names) for paths, names in places)


def _lies_in(path: str, paths: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).is_relative_to(place) for place in paths)


def _decorator_names(function: Function) -> set[str]:
    return {decorator.id for decorator in function.decorator_list if isinstance(decorator, ast.Name)}


def _names_broad(node: ast.expr) -> bool:
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(
        (isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"})
        or (isinstance(name, ast.Attribute) and name.attr in {"Exception", "BaseException"})
        for name in names
    )


def _called_name(call: ast.Call) -> str:
    """The last part of what is called: `create_engine` for `sqlalchemy.create_engine(…)`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that runs while the module is imported: all but the bodies of functions and lambdas."""
    pending: list[ast.AST] = [node for node in tree.body if not _is_main_guard(node)]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend([*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)])
        elif not isinstance(node, ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
