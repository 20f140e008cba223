"""``python -m codegen``: writes, compares, and finds what was changed by hand."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from codegen.__main__ import main
from codegen.output import LOCK

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT.parent / "shared" / "contract" / "monite-openapi-2024-05-25.json"


def test_nothing_generated_was_changed_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Every generated file is as the generator left it; the lock tells without the contract."""
    assert main(["--check", "--root", str(ROOT), "no-such-contract.json"]) == 0
    assert "comparing with the lock only" in capsys.readouterr().out


if CONTRACT.is_file():  # the contract is not part of the repository

    def test_the_files_on_disk_are_what_the_contract_gives() -> None:
        """Generating anew from the contract changes nothing."""
        assert main(["--check", "--root", str(ROOT), str(CONTRACT)]) == 0


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the generated files, with the lock and the formatter's configuration."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in (LOCK, *json.loads((ROOT / LOCK).read_text())["files"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_change_by_hand_is_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A generated file that was edited or removed fails the check and is named."""
    with (copy / "monite_async/api/roles.py").open("a") as file:
        file.write("# edited\n")
    (copy / "monite_async/models/roles.py").unlink()
    assert main(["--check", "--root", str(copy), "none"]) == 1
    said = capsys.readouterr().out
    assert "differs: monite_async/api/roles.py" in said
    assert "differs: monite_async/models/roles.py" in said


def _small(folder: Path) -> Path:
    """Write a contract of one operation with a tag of the client."""
    operation = {
        "tags": ["Roles"],
        "operationId": "get_roles_id",
        "parameters": [{"in": "path", "name": "role_id", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Role"}}}}},
    }
    suggestions = {**operation, "tags": ["Payables"], "operationId": "x", "parameters": []}
    suggestions["responses"] = {"200": {"content": {"application/json": {"schema": {}}}}}
    contract = {
        "info": {"version": "1"},
        "paths": {
            "/roles/{role_id}": {"get": operation},
            "/payables/{payable_id}/suggestions": {"delete": suggestions},
        },
        "components": {"schemas": {"Role": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    }
    path = folder / "contract.json"
    path.write_text(json.dumps(contract))
    return path


def test_writing_brings_the_files_in_line_and_removes_stale_ones(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writing changes what differs, removes generated files that are no longer made, and leaves others alone."""
    mine = copy / "monite_async/models/_by_hand.py"
    mine.write_text('"""Not generated."""\n')
    contract = str(_small(copy))
    assert main(["--check", "--root", str(copy), contract]) == 1
    assert (copy / "monite_async/types/entities.py").is_file()
    assert main(["--root", str(copy), contract]) == 0
    assert "wrote monite_async/types/entities.py" in capsys.readouterr().out
    assert not (copy / "monite_async/types/entities.py").exists()
    assert mine.is_file()
    assert "class Role(Model)" in (copy / "monite_async/models/roles.py").read_text()
    assert main(["--check", "--root", str(copy), contract]) == 0
    assert main(["--check", "--root", str(copy), "none"]) == 0


def test_the_contract_can_be_the_document_that_the_api_serves(copy: Path) -> None:
    """An address in the place of a file is fetched, and gives the same files."""
    contract = _small(copy)
    assert main(["--root", str(copy), str(contract)]) == 0
    handler = functools.partial(_Quiet, directory=str(copy))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/{contract.name}"
            assert main(["--check", "--root", str(copy), address]) == 0
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files, and writes nothing of it to the terminal."""

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


def test_writing_without_a_contract_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a contract there is nothing to generate from, and the message says what to give."""
    with pytest.raises(SystemExit) as caught:
        main(["nowhere.json"])
    assert caught.value.code == 2
    assert "name the OpenAPI document" in capsys.readouterr().err


def test_what_is_generated_stays_within_bounds() -> None:
    """All generated code is at most 35,000 lines in at most 160 files, and none is over 1,500 lines."""
    names = [name for name in json.loads((ROOT / LOCK).read_text())["files"] if name.endswith(".py")]
    lines = {name: len((ROOT / name).read_text().splitlines()) for name in names}
    assert len(lines) <= 160
    assert sum(lines.values()) <= 35_000
    assert max(lines.values()) <= 1_500
