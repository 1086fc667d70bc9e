"""What helps authors: one style, the beginning of a mapping file, and schemas that editors complete by."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from converter.linting.style import formatted
from converter.yamlfile import loads
from tests.rehearsal.folders import ROOT, run
from tests.test_outputs import broken_junit, broken_sarif

SCHEMAS = ROOT / "converter/schemas"
KINDS = {
    "mapping": "fhir/*.yaml",
    "part": "fhir/parts/*.yaml",
    "codes": "codes/*.yaml",
    "losses": "losses.yaml",
    "lint": "lint.yaml",
}


def test_fmt_changes_blanks_and_nothing_else(tmp_path: Path) -> None:
    text = "a:   {x: 1 ,y: [ b,c ]}  # kept  \r\n\n\n\nt: 'a ,b { c }'\nd: {k: { z: 1}}"
    wanted = "a:   {x: 1, y: [b, c]}  # kept\n\nt: 'a ,b { c }'\nd: {k: {z: 1}}\n"
    assert formatted(text) == wanted
    assert formatted(wanted) == wanted
    assert loads(text.encode(), name="x") == loads(wanted.encode(), name="x")
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode())
    assert run("fmt", file, "--check").exit_code == 1
    assert file.read_bytes() == text.encode()
    assert run("fmt", file).exit_code == 0
    assert file.read_bytes() == wanted.encode()
    assert run("fmt", file, "--check").exit_code == 0


def test_fmt_of_a_broken_file_is_4(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: [")
    assert run("fmt", tmp_path).exit_code == 4


def test_our_mapping_files_are_in_the_style() -> None:
    files = sorted((ROOT / "mappings").rglob("*.yaml"))
    assert [f for f in files if formatted(f.read_text(encoding="utf-8")) != f.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_our_files_keep_their_schemas(kind: str) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    files = sorted((ROOT / "mappings").glob(KINDS[kind]))
    assert files
    for file in files:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        assert keeps(document, schema, schema), file
        assert not keeps({**document, "nonsense": "x"}, schema, schema)


def keeps(value: Any, schema: dict[str, Any], top: dict[str, Any]) -> bool:
    """Whether a value keeps a schema: of the words of JSON Schema, those that ours use, and no others."""
    words = {"type", "const", "enum", "pattern", "anyOf", "$ref", "items", "required", "properties", "propertyNames"}
    assert schema.keys() <= words | {"additionalProperties", "$schema", "$id", "$defs", "title"}, schema.keys()
    if "$ref" in schema:
        return keeps(value, top["$defs"][schema["$ref"].rpartition("/")[2]], top)
    if "anyOf" in schema and not any(keeps(value, one, top) for one in schema["anyOf"]):
        return False
    if not isinstance(value, {"string": str, "array": list, "object": dict}.get(schema.get("type", ""), object)):
        return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return all(keeps(item, schema.get("items", {}), top) for item in value)
    known, more = schema.get("properties", {}), schema.get("additionalProperties", {})
    return all(name in value for name in schema.get("required", ())) and all(
        keeps(name, schema.get("propertyNames", {}), top)
        and (keeps(child, known[name], top) if name in known else more is not False and keeps(child, more, top))
        for name, child in value.items()
    )


def faulty(tmp_path: Path) -> Path:
    """The small folder with a typo in line 42."""
    folder = tmp_path / "mappings"
    shutil.copytree(Path(__file__).with_name("cases") / "base", folder)
    small = folder / "fhir/small.yaml"
    small.write_text(small.read_text(encoding="utf-8").replace("<-> topic.text |", "<-> topic.txt |"), encoding="utf-8")
    return folder


def test_findings_of_lint_keep_the_forms_that_others_read(tmp_path: Path) -> None:
    folder = faulty(tmp_path)
    sarif = json.loads(run("lint", folder, "--format", "sarif").stdout)
    assert list(broken_sarif(sarif)) == []
    (result,) = sarif["runs"][0]["results"]
    assert result["ruleId"] == "LNT111"
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 42
    suites = ET.fromstring(run("lint", folder, "--format", "junit").stdout)
    assert list(broken_junit(suites)) == []
    assert len(suites.findall(".//failure")) == 1
    (line,) = [x for x in run("lint", folder, "--format", "github").stdout.splitlines() if x.startswith("::error")]
    assert f"file={folder}/fhir/small.yaml,line=42,col=33" in line


def test_each_exit_code_of_lint(tmp_path: Path) -> None:
    assert run("lint", faulty(tmp_path)).exit_code == 4
    clean = tmp_path / "clean/mappings"
    shutil.copytree(Path(__file__).with_name("cases") / "base", clean)
    assert run("lint", clean).exit_code == 0
    assert run("lint", tmp_path / "nothing").exit_code == 2
    (clean / "fhir/small.yaml").write_text((clean / "fhir/small.yaml").read_text() + "\n\n\n")
    assert run("lint", clean).exit_code == 0
    assert run("lint", clean, "--fail-on", "warning").exit_code == 4


def test_new_mapping_lists_every_element_and_what_the_profile_requires(tmp_path: Path) -> None:
    profile = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-message"
    file = tmp_path / "mine.yaml"
    assert run("new", "mapping", "DIS91", profile, "-o", file).exit_code == 0
    text = file.read_text(encoding="utf-8")
    loads(text.encode(), name="mine.yaml")
    assert "#   ClinicalInformation.Text01: text" in text
    assert "type: Communication" in text
    assert "to: subject} # required" in text
    assert run("new", "mapping", "NOPE", profile).exit_code == 2
    assert run("new", "mapping", "DIS91", "http://example.org/nothing").exit_code == 2


def test_fix_changes_style_and_what_is_not_used_only(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(Path(__file__).with_name("cases") / "base", folder)
    (folder / "fhir/parts/more.yaml").write_text(
        "slices: {}\nparts:\n  x:\n    rules:\n      y: Sender.Name <-> name\n"
    )
    small = folder / "fhir/small.yaml"
    before = small.read_text(encoding="utf-8")
    text = before.replace("uses: [shared]", "uses: [shared, more]").replace(
        "{const: completed, ", "{ const: completed,"
    )
    small.write_text(text, encoding="utf-8")
    assert "2 fixed" in run("lint", folder, "--fix").output
    assert small.read_text(encoding="utf-8") == before
