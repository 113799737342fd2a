"""The Python client's wheel has all of it and nothing else, and works where it is installed."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.support.servers import ROOT

HERE = ROOT / "clients" / "python"
SOURCE = HERE / "src" / "chatsite_client"


def test_the_wheel(tmp_path: Path) -> None:
    built = tmp_path / "built"
    build = ["-m", "hatchling", "build", "--target", "wheel", "--directory", built]
    subprocess.run([sys.executable, *build], cwd=HERE, check=True, capture_output=True)
    [wheel] = built.iterdir()
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:  # all that installing a wheel of pure Python does
        archive.extractall(site)
    installed = {path.name for path in (site / "chatsite_client").iterdir()}
    assert installed == {path.name for path in SOURCE.iterdir() if path.is_file()}
    assert "py.typed" in installed
    code = "import chatsite_client as c; print(c.__file__); assert all(map(vars(c).get, c.__all__))"
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome.stdout.startswith(str(site))


def test_it_imports_nothing_that_it_does_not_require() -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[\[<>=]", name)[0] for name in project["dependencies"]}
    code = "".join(path.read_text() for path in SOURCE.glob("*.py"))
    used = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    others = used - set(sys.stdlib_module_names) - {"django"}  # in a view only
    assert others == {"httpx", "jwt", "websockets", "cryptography"}
    assert required == {"httpx", "pyjwt", "websockets"}  # pyjwt[crypto] brings cryptography
