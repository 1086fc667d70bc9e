"""Static faults of definition files: each kind found at its line, all together, and not in files that are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.definitions import Definitions
from converter.errors import MappingError

LETTER = """letter: TST01
root: TestLetter
namespace: urn:test
params: {assoc: T0130L, type: TST01, role: AA}
uses: [one]
codes:
  COLOUR: {red: R, green: G}
elements:
  Letter: {Identifier: an..14, VersionCode: const X$assoc}
  $party:
  Colour~: code COLOUR
  Note*: {Text: text}
edifact:
  - UNH+{Letter.Identifier}+TST:D
  - part: nad
  - group: S02
    items:
      - GIS+N
      - {name: colour, opt: "PAS+{Colour@COLOUR}"}
  - {name: notes, group: S14, each: Note, items: [{opt: "FTX+NC+~++{Text~}"}]}
versions:
  T0131L: {namespace: urn:test2}
"""
PART = """types: {short: {is: an..5}}
elements:
  party: {Name: short}
segments:
  nad:
    - NAD+$role+{/Name}
"""
CODES = "SIZE: {small: S, large: [L]}\n"


def write(folder: Path, letter: str = LETTER, part: str = PART, codes: str = CODES) -> Path:
    for name, text in (("TST01.yaml", letter), ("parts/one.yaml", part), ("codes/all.yaml", codes)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def faults(folder: Path) -> list[tuple[str, str]]:
    """Code and `file:line` of every fault."""
    issues = []
    try:
        Definitions.load(folder)
    except MappingError as error:
        issues = error.issues or [None]
    return [(i.code, f"{Path(i.at.file).name}:{i.at.line}") for i in issues]


def test_the_letter_of_these_tests_is_right(tmp_path: Path) -> None:
    assert faults(write(tmp_path)) == []
    definitions = Definitions.load(tmp_path)
    assert definitions.types == {"TST01": ("T0130L", "T0131L")}
    second = definitions.get("TST01", "T0131L")
    assert second is not None
    assert second.leaves["Letter.VersionCode"].const == "XT0131L"


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("uses: [one]", "uses: [one]\nuse: [one]", "LNT020", 6),
        ("root: TestLetter\n", "", "LNT020", 1),
        ("codes:\n  COLOUR: {red: R, green: G}", "codes:\n  COLOUR: {red: R, green: G}\nelement: x", "LNT020", 8),
        ("Letter: {Identifier: an..14, VersionCode: const X$assoc}", "Letter: {Identifier: [a]}", "LNT021", 9),
        ("uses: [one]", "uses: [one, two]", "LNT022", 5),
        ("  $party:\n", "  $party:\n  $parties:\n", "LNT022", 11),
        ("- part: nad", "- part: nadd", "LNT022", 15),
        ("const X$assoc", "const X$association", "LNT023", 9),
        ("T0131L: {namespace: urn:test2}", "T0131L: {elements: {Color: remove}}", "LNT024", 22),
        ("T0131L: {namespace: urn:test2}", "T0131L: {edifact: {color: remove}}", "LNT024", 22),
        ("T0131L: {namespace: urn:test2}", "T0131L: {elements: {New: {$after: Nothing, $type: date}}}", "LNT024", 22),
        ("Colour~: code COLOUR", "Colour?: code COLOUR", "LNT025", 11),
        ("Colour~: code COLOUR", "Colour~: an.14", "LNT026", 11),
        ("Colour~: code COLOUR", "Colour~: code COLOR", "LNT027", 11),
        ("{red: R, green: G}", "{red: R, green: R}", "LNT028", 7),
        ("{red: R, green: G}", "{red: R, green: G, $read: {R: green}}", "LNT028", 7),
        ("{red: R, green: G}", "{red: R, green: [G, H]}", "LNT029", 7),
        ("  $party:\n", "  $party:\n  Name: an..5\n", "LNT030", 11),
        ("T0131L: {namespace: urn:test2}", "T0131L: {params: {assoc: T0130L}}", "LNT031", 1),
        ("- GIS+N", "- GI+N", "LNT032", 18),
        ("- GIS+N", "- 'GIS+[N]'", "LNT032", 18),
        ("- GIS+N", "- 'GIS+N +X'", "LNT032", 18),
        ("- GIS+N", "- 'GIS+{Colour'", "LNT032", 18),
        ("- GIS+N", "- 'GIS+N:{/Letter.Identifier}{/Colour@COLOUR}'", "LNT032", 18),
        ("PAS+{Colour@COLOUR}", "PAS+{Colour@COLOUR&}", "LNT032", 19),
        ("PAS+{Colour@COLOUR}", "PAS+{Color@COLOUR}", "LNT033", 19),
        ("each: Note", "each: Notes", "LNT033", 20),
        ("  Note*: {Text: text}", "  Note*: {Text: text}\n  Size~: code SIZE", "LNT034", 13),
        ("- GIS+N", "- GIS+N\n      - {opt: 'PAS+{=Colour@COLOUR}'}", "LNT035", 20),
        ("edifact:\n", "edifact:\n  - RFF+{Letter.Identifier}\n", "LNT036", 15),
        ("PAS+{Colour@COLOUR}", "PAS+{Colour}", "LNT037", 19),
        ("PAS+{Colour@COLOUR}", "PAS+{Colour@COLOUR.2}", "LNT037", 19),
        ("PAS+{Colour@COLOUR}", "PAS+{Colour@COLOUR!julian}", "LNT037", 19),
        ("PAS+{Colour@COLOUR}", "PAS+{Colour@SIZE}", "LNT037", 19),
        ("FTX+NC+~++{Text~}", "FTX+NC+~++{Text}", "LNT037", 20),
        ("each: Note, items: [{opt: \"FTX+NC+~++{", "items: [{opt: \"FTX+NC+~++{Note.", "LNT039", 20),
        ("{opt: \"FTX+NC+~++{Text~}\"}", "{name: colour, opt: \"FTX+NC+~++{Text~}\"}", "LNT040", 20),
        ("{red: R, green: G}", "{red: R, green: G, $absent: X}", "LNT041", 7),
        ("edifact:\n", "unwired: [Colour]\nedifact:\n", "LNT042", 13),
    ],
)  # fmt: skip
def test_every_fault_is_found_at_its_line(tmp_path: Path, old: str, new: str, code: str, line: int) -> None:
    assert LETTER.count(old) == 1, old
    found = faults(write(tmp_path, LETTER.replace(old, new)))
    assert (code, f"TST01.yaml:{line}") in found, found


def test_all_faults_of_all_files_come_together(tmp_path: Path) -> None:
    letter = LETTER.replace("code COLOUR", "code COLOR").replace("- GIS+N", "- GI+N")
    found = faults(write(tmp_path, letter, PART.replace("an..5", "an.5"), CODES + "SIZE: {}\n"))
    assert {code for code, _ in found} >= {"LNT003", "LNT026", "LNT027", "LNT032"}
    assert len({file.split(":")[0] for _, file in found}) == 3
    assert len(found) == len(set(found)), "a fault of the base is reported once, not for every version"


def test_code_lists_are_one_name_space(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "codes" / "more.yaml").write_text("SIZE: {small: S}\n", encoding="utf-8")
    assert faults(tmp_path) == [("LNT020", "more.yaml:1")]


SISTER = """letter: TST02
extends: TST01
params: {assoc: T0230L, type: TST02}
elements:
  Colour: remove
  Size~: {$after: Letter, $type: code SIZE}
  Note: {$rename: "Remark~"}
edifact:
  colour: {replace: ["PAS+{Size@SIZE}"]}
  notes: {after: [{opt: "EMP+{/Remark.Text~}+~"}], before: []}
"""


def test_sister_types_change_their_base_by_name(tmp_path: Path) -> None:
    write(tmp_path)
    sister = SISTER.replace("notes: {after", "notes: {replace: [], after").replace(
        "+{/Remark.Text~}+~", "+~+{/Remark.Text~}"
    )
    (tmp_path / "TST02.yaml").write_text(sister, encoding="utf-8")
    assert faults(tmp_path) == []
    definition = Definitions.load(tmp_path).get("TST02", "T0230L")
    assert definition is not None
    assert [e.name for e in definition.elements] == ["Letter", "Size", "Name", "Remark"]
    assert {row.leaf: row.edifact for row in definition.table()} == {
        "Letter.Identifier": "UNH.1.1",
        "Letter.VersionCode": "(constant)",
        "Size": "S02/PAS.1.1",
        "Name": "NAD[AA].2.1",
        "Remark.Text": "EMP.2",
    }


def test_a_sister_of_a_sister_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "TST02.yaml").write_text("letter: TST02\nextends: TST02\n", encoding="utf-8")
    assert faults(tmp_path) == [("LNT021", "TST02.yaml:2")]


def test_aliases_and_other_constructs_of_yaml_are_refused(tmp_path: Path) -> None:
    write(tmp_path, LETTER.replace("codes:\n", "codes: &a\n"))
    assert faults(tmp_path) == [("LNT002", "TST01.yaml:6")]
