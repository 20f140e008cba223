"""The public face of the emulator, what it may import, and the pytest plugin."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import monite_async.emulator
from monite_async.emulator import Emulator

pytest_plugins = ("pytester",)

PACKAGE = Path(monite_async.emulator.__file__).parent


def imported(source: Path) -> set[str]:
    """Return the names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def test_the_emulator_shares_no_code_with_the_client() -> None:
    """Of this project's modules the emulator imports its own and the list of operations, so that it shares no mistake."""
    sources = list(PACKAGE.rglob("*.py"))
    assert len(sources) > 20
    for source in sources:
        own = {name for name in imported(source) if name.startswith(("monite_async", "stores"))}
        others = {name for name in own if not name.startswith(("monite_async.emulator", "monite_async._operations"))}
        assert others == set(), source.name


def test_all_names_what_is_there_and_nothing_else_is_public() -> None:
    """``__all__`` is sorted, every name in it can be imported, and a name that is not there is an AttributeError."""
    names = monite_async.emulator.__all__
    assert list(names) == sorted(names)
    assert all(getattr(monite_async.emulator, name) is not None for name in names)
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = monite_async.emulator.Nonsense


def test_the_plugin_imports_nothing_heavy() -> None:
    """Loading the plugin costs neither httpx nor pydantic nor the emulator."""
    code = (
        "import sys, monite_async.pytest_plugin as plugin;"
        "heavy = {'httpx', 'pydantic', 'h11', 'monite_async.emulator'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.usefixtures("measured_children")
def test_the_plugin_gives_each_test_its_own_emulator(pytester: pytest.Pytester) -> None:
    """``monite_emulator`` is fresh for every test, and ``monite_client`` is on the emulator of the same test."""
    pytester.makepyfile(
        """
        import pytest

        def test_one(monite_emulator):
            monite_emulator.fail(status=500)
            assert len(monite_emulator.log) == 0

        def test_two(monite_emulator):
            assert len(monite_emulator.faults) == 0

        @pytest.mark.asyncio
        async def test_client(monite_emulator, monite_client):
            page = await monite_client.entities.list()
            assert monite_emulator.log.count("GET", "/entities", status=200) == 1
            assert monite_emulator.issued == {"client_credentials": 1}
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_emulators_share_nothing() -> None:
    """Two emulators in one process know nothing of each other."""
    one, two = Emulator(), Emulator()
    one.fail(status=500)
    one.configure({"user_lifetime": 5})
    assert (len(two.faults), two.settings.user_lifetime) == (0, 86_400)
