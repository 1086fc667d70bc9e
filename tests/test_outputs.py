"""`validate` over a corpus in every form, each held against what its schema says.

JSON against the schema that comes with the program; SARIF against the standard's objects (sarif-2.1.0.yaml); JUnit
against the elements and attributes that CI servers read (schema of Jenkins' xUnit plug-in); text against its grammar.
"""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from converter.cli import program
from tests.cases import FIXTURES

SARIF: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("sarif-2.1.0.yaml").read_text(encoding="utf-8"))
FINDINGS: dict[str, Any] = json.loads((resources.files("converter") / "schemas" / "findings.schema.json").read_text())
TYPES = {"string": str, "integer": int, "array": list, "object": dict}

# Elements and attributes of JUnit files: what must be there, what may be, and what may stand inside.
COUNTS = ("tests", "failures", "errors")
JUNIT: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "testsuites": ((), ("name", "time", "disabled", *COUNTS), ("testsuite",)),
    "testsuite": (
        ("name", "tests"),
        ("failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"),
        ("properties", "testcase", "system-out", "system-err"),
    ),
    "testcase": (
        ("name",),
        ("classname", "assertions", "time", "status"),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "failure": ((), ("type", "message"), ()),
    "system-out": ((), (), ()),
}


def broken(value: object, schema: Mapping[str, Any], where: str = "$") -> Iterator[str]:
    """What JSON says against a schema: of the words of JSON Schema, those that ours uses."""
    if "type" in schema and (not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool)):
        yield f"{where}: no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: not in the list"
    if isinstance(value, int) and value < schema.get("minimum", value):
        yield f"{where}: too small"
    if isinstance(value, str) and (
        len(value) < schema.get("minLength", 0) or not re.search(schema.get("pattern", ""), value)
    ):
        yield f"{where}: another form"
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from broken(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{where}: no {name}" for name in schema.get("required", ()) if name not in value)
        if schema.get("additionalProperties") is False:
            yield from (f"{where}: unknown {name}" for name in value if name not in known)
        for name, part in value.items():
            yield from broken(part, known.get(name, {}), f"{where}.{name}")


def broken_sarif(value: Any, kind: str = "log", where: str = "$") -> Iterator[str]:
    """What a SARIF object says against the standard."""
    facts = SARIF[kind]
    properties = {name: {} for name in facts.get("others", ())}
    properties.update((name, _plain(rule)) for name, rule in facts["properties"].items())
    schema = {"type": "object", "required": facts["required"], "additionalProperties": False, "properties": properties}
    yield from broken(value, schema, where)
    for name, rule in facts["properties"].items():
        part = value.get(name)
        if "object" in rule and part is not None:
            yield from broken_sarif(part, rule["object"], f"{where}.{name}")
        for number, item in enumerate(part or ()) if "items" in rule else ():
            yield from broken_sarif(item, rule["items"], f"{where}.{name}[{number}]")
        if "unique" in rule and part and len({item[rule["unique"]] for item in part}) != len(part):
            yield f"{where}.{name}: not unique"


def _plain(rule: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in rule.items() if k not in ("object", "items", "unique")}
    if "pattern" in plain:
        plain["pattern"] = f"^(?:{plain['pattern']})$"
    return plain


def broken_junit(element: ET.Element) -> Iterator[str]:
    """What a JUnit document says against the elements and attributes that its readers know."""
    must, may, inside = JUNIT[element.tag]
    yield from (f"{element.tag}: no {name}" for name in must if name not in element.attrib)
    for name, value in element.attrib.items():
        if name not in (*must, *may):
            yield f"{element.tag}: unknown {name}"
        if name in (*COUNTS, "skipped") and not value.isdigit():
            yield f"{element.tag}: {name} is no number"
    for child in element:
        if child.tag in inside:
            yield from broken_junit(child)
        else:
            yield f"{element.tag}: unknown {child.tag}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and faulty messages of every syntax, with names that are awkward in XML, URIs and on lines."""
    folder = tmp_path_factory.mktemp("corpus")
    for fault in sorted(FIXTURES.glob("faults/*/message.*")):
        shutil.copy(fault, folder / f"{fault.parent.name}{fault.suffix}")
    for case in sorted(FIXTURES.glob("letters/DIS91/[a-m]*/message.*")):
        shutil.copy(case, folder / f"{case.parent.name}{case.suffix}")
    (folder / 'å b&<c>"d%20#.edi').write_bytes(next(FIXTURES.glob("faults/EDI010*/message.edi")).read_bytes())
    return folder


@pytest.fixture(scope="module")
def output(corpus: Path) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def of(form: str) -> str:
        if form not in made:
            done = CliRunner().invoke(program, ["validate", str(corpus), "--format", form])
            assert done.exit_code == 1, done.output
            made[form] = done.stdout
        return made[form]

    return of


def test_json(output: Callable[[str], str]) -> None:
    found = json.loads(output("json"))
    assert len(found) > 100
    assert list(broken(found, FINDINGS)) == []


def test_sarif(output: Callable[[str], str]) -> None:
    log = json.loads(output("sarif"))
    assert list(broken_sarif(log)) == []
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(run["results"]) > 100
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_junit(output: Callable[[str], str], corpus: Path) -> None:
    root = ET.fromstring(output("junit").encode())
    assert root.tag == "testsuites"
    assert list(broken_junit(root)) == []
    cases = list(root.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    assert {case.get("name") for case in cases} == {str(path) for path in corpus.iterdir()}
    assert [root.get("tests"), root.get("failures")] == [str(len(cases)), str(len(failed))]
    assert 0 < len(failed) < len(cases)


LINE = re.compile(r".+:[1-9]\d*:[1-9]\d* [A-Z]{3}\d{3} (error|warning|info) \S.*\Z")
DETAIL = re.compile(r"    (help|at): \S.*\Z")


def test_text(output: Callable[[str], str]) -> None:
    *lines, last = output("text").splitlines()
    assert re.fullmatch(r"\d+ messages checked: \d+ errors, \d+ warnings, \d+ infos", last)
    assert not [line for line in lines if not (LINE.match(line) or DETAIL.match(line))]


def test_all_forms_tell_the_same_findings(output: Callable[[str], str]) -> None:
    found = Counter((issue["code"], issue["severity"]) for issue in json.loads(output("json")))
    text: Counter[tuple[str, str]] = Counter()
    for line in output("text").splitlines():
        if match := re.match(r".+?:\d+:\d+ ([A-Z]{3}\d{3}) (error|warning|info) ", line):
            text[match[1], match[2]] += 1
    levels = {"error": "error", "warning": "warning", "note": "info"}
    sarif = Counter((r["ruleId"], levels[r["level"]]) for r in json.loads(output("sarif"))["runs"][0]["results"])
    assert found == text == sarif


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda log: log.update(version="2.0.0"), "$.version: not in the list"),
        (lambda log: log["runs"][0].pop("tool"), "$.runs[0]: no tool"),
        (lambda log: log["runs"][0].update(colour="red"), "$.runs[0]: unknown colour"),
        (lambda log: log["runs"][0]["results"][0].update(level="fatal"), "level: not in the list"),
        (lambda log: log["runs"][0]["results"][0].update(message={}), "message: no text"),
        (lambda log: log["runs"][0]["results"][0].update(ruleIndex="1"), "ruleIndex: no integer"),
        (lambda log: log["runs"][0]["tool"]["driver"]["rules"].append({"id": "EDI010"}), "rules: not unique"),
        (
            lambda log: log["runs"][0]["results"][0].update(
                locations=[{"physicalLocation": {"artifactLocation": {"uri": "a b"}, "region": {"startLine": 0}}}]
            ),
            "uri: another form",
        ),
    ],
)
def test_the_check_of_sarif_finds_faults(
    output: Callable[[str], str], spoil: Callable[[dict[str, Any]], object], wanted: str
) -> None:
    log = json.loads(output("sarif"))
    spoil(log)
    assert any(wanted in fault for fault in broken_sarif(log))


def test_the_checks_of_json_and_junit_find_faults(output: Callable[[str], str]) -> None:
    good = json.loads(output("json"))[0]
    for spoiled in ({**good, "colour": 1}, {**good, "line": -1}, {**good, "code": "X"}, {**good, "help": ""}, {}):
        assert list(broken([spoiled], FINDINGS))
    for text in ("<testsuites><testcase name='a'/></testsuites>", "<testsuite name='a' tests='x'/>", "<testcase/>"):
        assert list(broken_junit(ET.fromstring(text)))
