"""The public surface: what is exported, what it costs to import, and which module may import which."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import monite_async
import monite_async.asgi
import monite_async.otel
import monite_async.webhooks
import monite_async_stores

CLIENT = Path(monite_async.__file__).parent
STORES = Path(monite_async_stores.__file__).parent


def in_a_fresh_process(code: str) -> str:
    """Run code in another interpreter, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    [monite_async, monite_async.asgi, monite_async.otel, monite_async.webhooks, monite_async_stores],
    ids=lambda module: module.__name__,
)
def test_exports_are_a_sorted_literal_and_all_there(module: ModuleType) -> None:
    """``__all__`` is a literal in order, and each name in it can be had."""
    path = Path(inspect.getfile(module))
    (assigned,) = [
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    ]
    names: list[str] = ast.literal_eval(assigned)
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(module, name) is not None


def test_lazy_names_are_the_ones_that_type_checkers_see() -> None:
    """What is loaded on first use is declared for type checkers from the same module, and nothing else is."""
    tree = ast.parse((CLIENT / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.name: (node.module or "").removeprefix("monite_async.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == monite_async._LAZY
    assert set(declared) <= set(monite_async.__all__)


def test_everything_that_is_exported_is_listed() -> None:
    """No public name lies beside ``__all__``, and what does not exist says so."""
    names = {name for name in vars(monite_async) if not name.startswith("_")}
    modules = {name for name in names if inspect.ismodule(getattr(monite_async, name))}
    assert names - modules - {"annotations", "importlib", "TYPE_CHECKING"} <= set(monite_async.__all__)
    assert set(dir(monite_async)) == set(monite_async.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(monite_async, "nonsense")  # noqa: B009 - type checkers know that it is not there


def test_importing_the_package_imports_nothing_heavy() -> None:
    """``import monite_async`` alone loads neither httpx nor pydantic nor asyncio."""
    code = (
        "import sys, monite_async; print([m for m in ('httpx', 'pydantic', 'h11', 'anyio', 'ssl') if m in sys.modules])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_webhooks_and_the_token_endpoint_load_no_http_library() -> None:
    """What receives requests sends none: neither module loads httpx, h11 or the client."""
    code = (
        "import sys, monite_async.webhooks, monite_async.asgi;"
        "print([m for m in ('httpx', 'h11', 'anyio', 'redis', 'monite_async._core') if m in sys.modules])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_the_client_loads_no_models_and_no_emulator() -> None:
    """Making a client loads none of the generated models, no emulator, and no HTTP stack besides this one."""
    code = (
        "import sys; from monite_async import AsyncMonite; AsyncMonite(token='x');"
        "print([m for m in sys.modules if m.startswith(('monite_async.models.', 'monite_async.emulator', 'httpcore'))])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_nothing_but_its_own_module_loads_opentelemetry() -> None:
    """Only who imports ``monite_async.otel`` loads OpenTelemetry: a client that makes calls does not."""
    code = (
        "import asyncio, sys; from monite_async import AsyncMonite; from monite_async.emulator import Emulator;"
        "monite = AsyncMonite(**Emulator().client_options()); asyncio.run(monite.request('GET', '/entities'));"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_public_things_have_docstrings_and_typed_signatures() -> None:
    """Every public class and method is documented, and its parameters are annotated."""
    for name in monite_async.__all__:
        thing = getattr(monite_async, name)
        if not inspect.isclass(thing) or not thing.__module__.startswith("monite_async"):
            continue
        assert thing.__doc__, name
        for attribute, member in vars(thing).items():
            if attribute.startswith("_") or not inspect.isfunction(member):
                continue
            assert member.__doc__, f"{name}.{attribute}"
            signature = inspect.signature(member)
            assert signature.return_annotation is not inspect.Signature.empty, f"{name}.{attribute}"
            annotations = [p.annotation for p in signature.parameters.values() if p.name != "self"]
            assert inspect.Parameter.empty not in annotations, f"{name}.{attribute}"


# -- imports run one way

FLOORS: list[tuple[str, ...]] = [
    ("monite_async._version", "monite_async._errors", "monite_async._guidance", "monite_async._collector", "monite_async._observer"),
    ("monite_async._options", "monite_async._headers", "monite_async._rate"),
    ("monite_async._config", "monite_async._store_env"),
    ("monite_async._files",),
    ("monite_async._tokens", "monite_async._http"),
    ("monite_async._operations", "monite_async._pagination", "monite_async._downloads", "monite_async._waiting", "monite_async._response", "monite_async._resource", "monite_async.models", "monite_async.types"),
    ("monite_async._waits", "monite_async._waited", "monite_async._permissions"),
    ("monite_async.api",),
    ("monite_async._core", "monite_async._scope", "monite_async._client"),
    ("monite_async._asgi", "monite_async._webhook_signature", "monite_async._webhook_events", "monite_async._webhook_replay"),
    ("monite_async._webhook_receiver", "monite_async.webhooks", "monite_async.asgi", "monite_async.otel"),
    ("monite_async",),
    ("monite_async._cli", "monite_async.__main__"),
]  # fmt: skip
LAZY = {
    # Imported inside a function, where it is needed: the models of an answer, a pure function on a header, and for the
    # text of an error what the scopes have.
    ("monite_async._http.decode", "monite_async.models"),
    ("monite_async._tokens.issuer", "monite_async._http.retry"),
    ("monite_async._guidance", "monite_async.api"),
    ("monite_async._operations", "monite_async.api"),
}


def module_name(path: Path) -> str:
    """Return the name under which a file of either package is imported."""
    root = CLIENT.parent if path.is_relative_to(CLIENT) else STORES.parent
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, runtime_only: bool = True) -> set[str]:
    """Return the modules that a file imports, those for type checkers only left out."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if runtime_only and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(path.read_text()))
    return found


def floor_of(name: str) -> int | None:
    """Return the floor of a module, by its longest prefix."""
    best: tuple[int, int] | None = None
    for level, prefixes in enumerate(FLOORS):
        for prefix in prefixes:
            if (name == prefix or name.startswith(prefix + ".")) and (best is None or len(prefix) > best[0]):
                best = (len(prefix), level)
    return None if best is None else best[1]


def sources(root: Path) -> list[Path]:
    """Return the modules of a package."""
    return sorted(root.rglob("*.py"))


def test_the_stores_know_nothing_of_the_client() -> None:
    """The ground floor imports neither the client nor HTTP nor models."""
    for path in sources(STORES):
        for name in imports(path, runtime_only=False):
            assert name.split(".")[0] not in {"monite_async", "httpx", "h11", "pydantic", "codegen"}, f"{path}: {name}"


def test_imports_run_one_way() -> None:
    """No module of the client imports from a floor above its own."""
    checked = 0
    for path in sources(CLIENT):
        name = module_name(path)
        if name.startswith(("monite_async.emulator", "monite_async.pytest_plugin")) or name == "monite_async":
            continue
        own = floor_of(name)
        assert own is not None, f"{name} has no floor; give it one"
        for imported in imports(path):
            level = floor_of(imported) if imported.startswith("monite_async.") else None
            if level is not None and not any(name == at and imported.startswith(what) for at, what in LAZY):
                assert level <= own, f"{name} imports {imported}, which is above it"
                checked += 1
    assert checked > 100


def test_the_emulator_shares_no_code_with_the_client() -> None:
    """The emulator imports neither tokens nor HTTP layer, so that it shares no bug with them; nothing imports it."""
    for path in sources(CLIENT):
        name = module_name(path)
        inside = name.startswith("monite_async.emulator")
        for imported in imports(path, runtime_only=False):
            if inside:
                assert not imported.startswith(("monite_async._tokens", "monite_async._http")), f"{name}: {imported}"
            elif name not in {"monite_async.pytest_plugin", "monite_async._cli._commands"}:
                assert not imported.startswith("monite_async.emulator"), f"{name}: {imported}"


def test_nothing_imports_the_generator_and_one_place_connects() -> None:
    """The generator is not part of the product, and httpcore is nowhere: connections are made in one place."""
    for path in [*sources(CLIENT), *sources(STORES)]:
        for imported in imports(path):
            assert imported.split(".")[0] not in {"codegen", "httpcore", "tests", "stores"}, f"{path}: {imported}"
