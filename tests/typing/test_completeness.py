"""``pyright --verifytypes``: every public name of both packages has a type that every type checker reads alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.checkout, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"monite_async": ROOT / "monite_async", "monite_async_stores": ROOT / "stores" / "monite_async_stores"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has both packages as if installed, which pyright wants, and the rest from this one; its bin."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    variables = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    for name, source in PACKAGES.items():
        (packages / name).symlink_to(source, target_is_directory=True)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Path(sysconfig.get_path("scripts", "venv", variables))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_known_type(package: str, environment: Path) -> None:
    """The score is 100 %, of a number of names that cannot come from an empty look."""
    command = [sys.executable, "-m", "pyright", "--verifytypes", package, "--ignoreexternal", "--outputjson"]
    settings = {**os.environ, "PATH": f"{environment}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=environment, env=settings)
    told = json.loads(done.stdout)["typeCompleteness"]
    exported = [entry for entry in told["symbols"] if entry["isExported"]]
    assert [entry["name"] for entry in exported if not entry["isTypeKnown"]] == []
    assert told["completenessScore"] == 1
    assert len(exported) > {"monite_async": 5000, "monite_async_stores": 20}[package]
