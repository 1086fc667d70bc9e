"""The source form of profiles: what becomes of it, and that every fault is found at its line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter.errors import MappingError, ProfileError
from converter.fhir.drafts import draft_closure
from converter.fhir.guides import find_guide, read_guide
from converter.fhir.packs import build_pack
from tests.fhir.drafts.world import BASE, packages, sources

PROFILES = """\
profiles:
  our-thing:
    parent: Thing
    title: A thing of ours
    extensions:
      our-mark: 0..1
    elements:
      name: {cardinality: 1..1, short: Its name}
      active: {fixed: true}
      rank: {pattern: 3}
      code:
        cardinality: 1..*
        slicing: {value: system}
        closed: yes
        slices: {ours: {cardinality: 1..1, binding: colours, elements: {system: {fixed: colours}}}}
      link: {targets: our-thing}
      "value[x]": {type: Coding, pattern: {system: colours, code: red}}
    invariants:
      our-1: {human: A red thing has a name., expression: "code.where(code = 'red').exists() implies name.exists()"}
      our-2: {at: code, severity: warning, human: A code has a system., expression: system.exists()}
extensions:
  our-mark: {context: [Thing], parts: {left: string, right: {type: Coding, cardinality: 1..1, binding: some-colours}}}
codesystems:
  colours: {title: Colours, codes: {red: Red, blue: }}
valuesets:
  some-colours: {include: [{system: colours, codes: [red]}]}
conceptmaps:
  to-english:
    source: colours
    target: http://example.dk/english
    depends_on: {property: http://example.dk/property, system: http://example.dk/days}
    map: {red: [{to: crimson, equivalence: wider, when: monday}]}
"""


def built(tmp_path: Path, content: str = PROFILES) -> dict[str, dict[str, Any]]:
    guide = read_guide(sources(tmp_path / "ours", things=content))
    closure = draft_closure(guide, packages(tmp_path / "packages"))
    return {f"{d['resourceType']}/{d['id']}": d for d in closure.of_guide()}


def elements(definition: dict[str, Any], view: str = "snapshot") -> dict[str, dict[str, Any]]:
    return {e["id"]: e for e in definition[view]["element"]}


def test_profile(tmp_path: Path) -> None:
    thing = built(tmp_path)["StructureDefinition/our-thing"]
    assert (thing["url"], thing["version"]) == ("https://example.dk/fhir/StructureDefinition/our-thing", "1.0.0")
    assert (thing["type"], thing["baseDefinition"], thing["derivation"]) == ("Thing", BASE + "Thing", "constraint")
    table = elements(thing)
    assert (table["Thing.name"]["min"], table["Thing.name"]["short"]) == (1, "Its name")
    assert (table["Thing.active"]["fixedBoolean"], table["Thing.rank"]["patternPositiveInt"]) == (True, 3)
    assert table["Thing.link"]["type"] == [{"code": "Reference", "targetProfile": [thing["url"]]}]
    colours = "https://example.dk/fhir/CodeSystem/colours"
    assert table["Thing.value[x]"]["patternCoding"] == {"system": colours, "code": "red"}
    assert table["Thing"]["constraint"][0]["key"] == "our-1"
    assert table["Thing.code"]["constraint"][0]["severity"] == "warning"


def test_slices_stand_after_the_sliced_element_with_what_their_type_has(tmp_path: Path) -> None:
    thing = built(tmp_path)["StructureDefinition/our-thing"]
    order = list(elements(thing))
    start = order.index("Thing.code")
    assert order[start : start + 4] == [
        "Thing.code",
        "Thing.code:ours",
        "Thing.code:ours.system",
        "Thing.code:ours.code",
    ]
    table = elements(thing)
    part = table["Thing.code:ours"]
    assert (part["sliceName"], part["min"], part["max"], part["path"]) == ("ours", 1, "1", "Thing.code")
    assert part["binding"] == {"strength": "required", "valueSet": "https://example.dk/fhir/ValueSet/colours"}
    assert table["Thing.code:ours.system"]["fixedUri"] == "https://example.dk/fhir/CodeSystem/colours"
    assert table["Thing.code"]["slicing"]["rules"] == "closed"
    assert "slicing" not in part


def test_differential_says_only_what_the_source_says_in_the_order_of_the_snapshot(tmp_path: Path) -> None:
    thing = built(tmp_path)["StructureDefinition/our-thing"]
    said = elements(thing, "differential")
    assert set(said["Thing.name"]) == {"id", "path", "min", "max", "short"}
    order = [i for i in elements(thing) if i in said]
    assert list(said) == order


def test_extension_with_parts(tmp_path: Path) -> None:
    made = built(tmp_path)
    mark = made["StructureDefinition/our-mark"]
    assert mark["context"] == [{"type": "element", "expression": "Thing"}]
    table = elements(mark)
    assert table["Extension.url"]["fixedUri"] == mark["url"]
    assert table["Extension.value[x]"]["max"] == "0"
    assert table["Extension.extension:left.value[x]"]["type"] == [{"code": "string"}]
    assert table["Extension.extension:right"]["min"] == 1
    assert table["Extension.extension:right.url"]["fixedUri"] == "right"
    named = elements(made["StructureDefinition/our-thing"])["Thing.extension:our-mark"]
    assert named["type"] == [{"code": "Extension", "profile": [mark["url"]]}]


def test_codes(tmp_path: Path) -> None:
    made = built(tmp_path)
    assert made["CodeSystem/colours"]["concept"] == [{"code": "red", "display": "Red"}, {"code": "blue"}]
    assert made["ValueSet/colours"]["compose"] == {"include": [{"system": made["CodeSystem/colours"]["url"]}]}
    (group,) = made["ConceptMap/to-english"]["group"]
    (target,) = group["element"][0]["target"]
    assert (target["code"], target["equivalence"], target["dependsOn"][0]["value"]) == ("crimson", "wider", "monday")


def test_codes_of_a_letter_table_stand_there_only(tmp_path: Path) -> None:
    letters = tmp_path / "ours" / "letters"
    letters.mkdir(parents=True)
    (letters / "codes.yaml").write_text('T: {"a ": X, $absent: Y}\n', "utf-8")
    content = "codesystems: {ours: {codes_from: letters/codes.yaml#T}}\nprofiles: {p: {parent: Thing}}\n"
    assert built(tmp_path, content)["CodeSystem/ours"]["concept"] == [{"code": "a"}]


def test_pack_of_the_sources(tmp_path: Path) -> None:
    ours = sources(tmp_path / "ours", things=PROFILES)
    pack = build_pack("our.guide#1.0.0", packages(tmp_path / "packages"), ours.parent)
    assert pack["sources"][0] == {"name": "our.guide#1.0.0", "licence": "CC0-1.0"}
    key = "https://example.dk/fhir/StructureDefinition/our-thing|1.0.0"
    assert pack["profiles"][key]["own"]
    assert find_guide("our.guide", ours.parent)
    assert find_guide("our.guide#2", ours.parent) is None


def test_missing_packages_are_named(tmp_path: Path) -> None:
    guide = read_guide(sources(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProfileError, match=r"hl7\.fhir\.r4\.core#4\.0\.1.*--packages"):
        draft_closure(guide, tmp_path / "empty")


def faults(tmp_path: Path, content: str) -> list[str]:
    with pytest.raises(MappingError) as error:
        built(tmp_path, content)
    return [f"{i.code} {i.at.line}:{i.at.column}" for i in error.value.issues]


FORM = [
    ("profile: {}", ["LNT210 1:1"]),
    ("profiles: []", ["LNT211 1:11"]),
    ("profiles: {p: x}", ["LNT211 1:15"]),
    ("profiles: {p q: {parent: Thing}}", ["LNT211 1:12"]),
    ("profiles: {p: {}}", ["LNT211 1:15"]),
    ("profiles: {p: {parent: Thing, elemets: {}}}", ["LNT210 1:31"]),
    ("profiles: {p: {parent: Thing, elements: {name: 2}}}", ["LNT211 1:48"]),
    ("profiles: {p: {parent: Thing, elements: {name: []}}}", ["LNT211 1:48"]),
    ("profiles: {p: {parent: Thing, elements: {name: {min: 1}}}}", ["LNT210 1:49"]),
    ("profiles: {p: {parent: Thing, elements: {code: {slicing: {values: system}}}}}", ["LNT211 1:59"]),
    ("profiles: {p: {parent: Thing, elements: {code: {slices: {a: {cardinality: 1}}}}}}", ["LNT211 1:75"]),
    ("profiles: {p: {parent: Thing, invariants: {a: b}}}", ["LNT211 1:47"]),
    ("profiles: {p: {parent: Thing, invariants: {a: {human: b}}}}", ["LNT211 1:47"]),
    ("profiles: {p: {parent: Thing, invariants: {a: {human: b, expression: c, severity: d}}}}", ["LNT211 1:83"]),
    ("extensions: {e: {value: string}}", ["LNT211 1:17"]),
    ("extensions: {e: {context: [Thing]}}", ["LNT211 1:17"]),
    ("extensions: {e: {context: [Thing], value: {binding: c}}}", ["LNT211 1:43"]),
    ("codesystems: {c: {title: c}}", ["LNT211 1:18"]),
    ("valuesets: {v: {include: x}}", ["LNT211 1:16"]),
    ("valuesets: {v: {include: [{sistem: x}]}}", ["LNT210 1:28"]),
    ("conceptmaps: {m: {target: x}}", ["LNT211 1:18"]),
]
MEANING = [
    ("parent: Thingg", ["LNT212 1:24"]),
    ("parent: p", ["LNT211 1:12"]),
    ("parent: Thing, elements: {nam: 1..1}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {name: 0..2}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {code: 3..2}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {name: {type: Coding}}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {link: {targets: Bundle}}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {link: {targets: Nothing}}", ["LNT212 1:58", "LNT213 1:42"]),
    ("parent: Thing, elements: {code: {binding: nothing}}", ["LNT212 1:58"]),
    ("parent: Thing, elements: {code: {binding: c, strength: example}}", ["LNT213 1:42"]),
    ("parent: Thing, elements: {code: {slices: {a: 0..1}}}", ["LNT213 1:58"]),
    ('parent: Thing, elements: {"value[x]": {pattern: a}}', ["LNT211 1:64"]),
    ('parent: Thing, elements: {"value[x].code": 1..1}', ["LNT213 1:42"]),
    ("parent: Thing, extensions: {nothing: 0..1}", ["LNT212 1:44"]),
    ("parent: Thing, invariants: {a: {human: b, expression: (}}", ["LNT214 1:70"]),
]


@pytest.mark.parametrize(("content", "expected"), FORM, ids=[c for c, _ in FORM])
def test_fault_of_form(content: str, expected: list[str], tmp_path: Path) -> None:
    assert faults(tmp_path, content) == expected


@pytest.mark.parametrize(("content", "expected"), MEANING, ids=[c for c, _ in MEANING])
def test_fault_of_meaning(content: str, expected: list[str], tmp_path: Path) -> None:
    assert faults(tmp_path, f"profiles: {{p: {{{content}}}}}\ncodesystems: {{c: {{codes: {{a: A}}}}}}\n") == expected


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    ours = sources(tmp_path, one="profiles: {p: {}}\n", two="profiles: {p: {parent: Thing}}\nother: {}\n")
    with pytest.raises(MappingError) as error:
        read_guide(ours)
    found = [f"{i.code} {Path(i.at.file).name}:{i.at.line}" for i in error.value.issues]
    assert found == ["LNT211 one.yaml:1", "LNT210 two.yaml:2", "LNT211 two.yaml:1"]
