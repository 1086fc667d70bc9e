"""The wheel carries everything that a conversion needs, mapping files included, and converts from another folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def unpacked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, root],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "content")
    return folder / "content"


def test_wheel_holds_code_mappings_and_licence(unpacked: Path, root: Path) -> None:
    for source, target in (("converter", "converter"), ("mappings", "converter/_mappings")):
        wanted = {p.relative_to(root / source) for p in (root / source).rglob("*") if p.is_file()}
        wanted = {p for p in wanted if "__pycache__" not in p.parts}
        assert {str(p) for p in wanted if not (unpacked / target / p).is_file()} == set()
    assert [p.name for p in unpacked.glob("*.dist-info/licenses/*")]
    assert not (unpacked / "tests").exists()


def test_wheel_converts_from_another_folder(unpacked: Path, root: Path, tmp_path: Path) -> None:
    """Run with the wheel's content first on the path, far from the repository."""
    letter = tmp_path / "letter.edi"
    letter.write_bytes((root / "fixtures" / "letters" / "DIS91" / "plain" / "message.edi").read_bytes())
    env = {"PYTHONPATH": str(unpacked), "PATH": "/usr/bin:/bin"}
    where = "import converter; print(converter.__file__)"
    asked = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=env, capture_output=True, check=True)
    assert asked.stdout.decode().startswith(str(unpacked))
    table = root / "fixtures" / "organisations.csv"
    done = subprocess.run(
        [sys.executable, "-m", "converter", "convert", "letter.edi", "--sor", table],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b'"resourceType": "Bundle"' in done.stdout
