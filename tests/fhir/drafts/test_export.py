"""A guide in source form as a FHIR package, and back into the same pack."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.errors import ProfileError
from converter.fhir.export import archive, package_files
from converter.fhir.packs import build_pack, write_pack
from tests.fhir.drafts.test_sources import PROFILES
from tests.fhir.drafts.world import packages, sources

DRAFT = "medcom-fhir.draft#0.1.0"
DRAFT_PACK = "medcom-fhir.draft-0.1.0.json.gz"


def write(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_package(tmp_path: Path) -> None:
    ours = sources(tmp_path, things=PROFILES)
    files = package_files("our.guide", ours.parent, packages(tmp_path / "packages"))
    manifest = json.loads(files["package/package.json"])
    assert (manifest["name"], manifest["version"], manifest["license"]) == ("our.guide", "1.0.0", "CC0-1.0")
    assert (manifest["dependencies"], manifest["fhirVersions"]) == ({"hl7.fhir.r4.core": "4.0.1"}, ["4.0.1"])
    index = json.loads(files["package/.index.json"])["files"]
    assert {f"package/{row['filename']}" for row in index} == files.keys() - {
        "package/package.json",
        "package/.index.json",
    }
    assert {row["resourceType"] for row in index} == {"CodeSystem", "ConceptMap", "StructureDefinition", "ValueSet"}
    thing = json.loads(files["package/StructureDefinition-our-thing.json"])
    assert thing["snapshot"]["element"]
    assert thing["differential"]["element"]


def test_package_reads_back_to_the_same_pack(tmp_path: Path) -> None:
    ours = sources(tmp_path, things=PROFILES)
    folder = packages(tmp_path / "packages")
    pack = build_pack("our.guide#1.0.0", folder, ours.parent)
    write(package_files("our.guide", ours.parent, folder), folder / "our.guide#1.0.0")
    assert build_pack("our.guide#1.0.0", folder) == pack


def test_archive_holds_the_same_files_and_no_times(tmp_path: Path) -> None:
    files = package_files("our.guide", sources(tmp_path, things=PROFILES).parent, packages(tmp_path / "packages"))
    with tarfile.open(fileobj=io.BytesIO(archive(files))) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar.getmembers()} == files  # type: ignore[union-attr]
        assert {m.mtime for m in tar.getmembers()} == {0}
    assert archive(files) == archive(files)


def test_only_guides_in_source_form_can_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="source form"):
        package_files("medcom.fhir.dk.core", tmp_path, tmp_path)


def test_committed_draft_pack_is_what_the_sources_give(root: Path, shared: Path, tmp_path: Path) -> None:
    folder = shared / "fhir" / "packages"
    write_pack(build_pack(DRAFT, folder, root / "mappings/profiles"), tmp_path / DRAFT_PACK)
    committed = (root / "mappings/profiles" / DRAFT_PACK).read_bytes()
    assert gzip.decompress((tmp_path / DRAFT_PACK).read_bytes()) == gzip.decompress(committed)


def test_exported_draft_reads_back_to_the_committed_pack(root: Path, shared: Path, tmp_path: Path) -> None:
    for package in (shared / "fhir" / "packages").iterdir():
        (tmp_path / package.name).symlink_to(package)
    write(package_files(DRAFT, root / "mappings/profiles", tmp_path), tmp_path / DRAFT)
    write_pack(build_pack(DRAFT, tmp_path), tmp_path / "again.json.gz")
    committed = (root / "mappings/profiles" / DRAFT_PACK).read_bytes()
    assert gzip.decompress((tmp_path / "again.json.gz").read_bytes()) == gzip.decompress(committed)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(program, arguments, prog_name="medcom-fhir")
    return result.exit_code, result.output


def test_command(tmp_path: Path) -> None:
    sources(tmp_path / "ours", things=PROFILES)
    where = ["--mappings", str(tmp_path / "ours"), "--packages", str(packages(tmp_path / "packages"))]
    for target in ("folder", "our.guide.tgz"):
        code, output = run("profiles", "export", "our.guide", *where, "-o", str(tmp_path / target))
        assert (code, output.strip()) == (0, str(tmp_path / target))
    assert (tmp_path / "folder" / "package" / "package.json").is_file()
    assert tarfile.is_tarfile(tmp_path / "our.guide.tgz")
    code, output = run("profiles", "export", "our.guide", *where, "-o", str(tmp_path / "folder"))
    assert code == 2
    assert "--force" in output
    code, _ = run("profiles", "export", "our.guide", *where, "-o", str(tmp_path / "folder"), "--force")
    assert code == 0


def test_faults_of_the_sources_end_with_code_4_and_their_place(tmp_path: Path) -> None:
    ours = sources(tmp_path / "ours", things="profiles:\n  p: {parent: Thing, elements: {nam: 1..1}}\n")
    folder = packages(tmp_path / "packages")
    where = ["--mappings", str(tmp_path / "ours"), "--packages", str(folder)]
    for command in (["pack", "our.guide#1.0.0"], ["export", "our.guide"]):
        code, output = run("profiles", *command, *where, "-o", str(tmp_path / "x.tgz"))
        assert code == 4
        assert f"{ours / 'things.yaml'}:2:33 LNT213" in output


def test_absent_packages_end_with_code_2_and_the_folder(tmp_path: Path) -> None:
    sources(tmp_path / "ours", things=PROFILES)
    where = ["--mappings", str(tmp_path / "ours"), "--packages", str(tmp_path)]
    code, output = run("profiles", "export", "our.guide", *where, "-o", str(tmp_path / "x.tgz"))
    assert code == 2
    assert str(tmp_path) in output
