"""What two elements share on the wire: who wins, what is refused, what is left out and filled in again."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter import edifact
from converter.definitions import Definitions
from converter.issues import IssueLog
from converter.letter import Letter, counts_of

TYPE = r"""
letter: TST02
root: TestLetter
namespace: urn:test
params: {assoc: T0230L, type: TST02}
codes:
  ROLE: {main: H, side: B}
  IC: {shak: [SKS, SST], gln: ["", "9"], county: [], $absent: ["", "9"], $empty: gln}
  LIST: {list: A, free: F}
  NOTE: {own: EL, theirs: HV}
  KIND: {$match: prefix, H: REF, D: DIS, D9: LET, $other: Ukendt}
  TEXTS: {"1A": First text, "1B": Second text}
  MORE: {$extends: TEXTS, "1C": Third text}
elements:
  Envelope: {Sent: {Date: date, Time: time}, Identifier: an..14}
  Sender: {EANIdentifier: an..35}
  Receiver: {EANIdentifier: an..35}
  Letter: {Identifier: an..14, VersionCode: const X$assoc}
  Answers~: an..7
  Doctor~: {Identifier~: an..17, IdentifierCode~: code IC, Name: an..35, Street~: an..35}
  Main~: {Code~: an..17, Type: code LIST, Text: an..70}
  Side*5: {Role: code ROLE, Code~: an..17, Type: code LIST, Text~: an..70}
  Note*9: {Role: code NOTE, Text~: text}
  one_of~:
    Patient: {Number~: an..10, Name~: an..35, Given~: an..35}
    System: flag const true
    Contents~: an..35
  Object~: {Size: size, Content: base64}
defaults:
  list: {code: Code, when: {Type: list}, texts: MORE}
aliases:
  - {when: {Patient.Number: SYSTEM, Patient.Name: Data}, set: {System: "true"}, move: {Patient.Given: Contents}}
edifact:
  - "UNB+UNOC:3+{Sender.EANIdentifier}:14+{Receiver.EANIdentifier}:14\
     +{Envelope.Sent.Date!yymmdd}:{Envelope.Sent.Time!hhmm}+{Envelope.Identifier}"
  - "UNH+{Letter.Identifier}+TSTMSG:D:93A:UN:{=Letter.VersionCode!x}+$type"
  - {opt: "UCM+{Answers}+{=Answers@KIND}"}
  - group: S01
    each: Doctor
    items:
      - "NAD+BV+[{Identifier}:{IdentifierCode@IC.1}:{IdentifierCode@IC.2}]++{Name}:{Street||_}"
  - group: S02
    items:
      - GIS+N
      - {opt: "CIN+H+{Main.Code}:{Main.Type@LIST}:{Main.Text%list}", wins: "true"}
      - {each: Side, items: ["CIN+{Role@ROLE}+{Code}:{Type@LIST}:{Text%list}"]}
      - {each: Note, items: [opt: "FTX+{Role@NOTE}+~++{Text~}"]}
  - group: S07
    items:
      - opt: "PNA+PAT+{Patient.Number}+{Patient.Name}:{Patient.Given}"
  - group: S11
    each: Object
    items:
      - "UNO+1+AID:1+OBJ:TXT:TXT:91+{Size}:14:1:A"
      - OBJ+{Content}
      - "UNP+{=Size}+1"
"""
BASE = {
    "Envelope.Sent.Date": "2026-01-02",
    "Envelope.Sent.Time": "10:20",
    "Envelope.Identifier": "KUV1",
    "Sender.EANIdentifier": "5790000120314",
    "Receiver.EANIdentifier": "5790000121526",
    "Letter.Identifier": "BREV1",
    "Letter.VersionCode": "XT0230L",
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    folder: Path = tmp_path_factory.mktemp("letters")
    (folder / "TST02.yaml").write_text(TYPE, encoding="utf-8")
    return Definitions.load(folder)


def there_and_back(definitions: Definitions, values: dict[str, object]) -> tuple[bytes, dict[str, object], list[str]]:
    """The bytes of a letter, what comes back beside the usual values, and all findings; no bytes if it is refused."""
    everything = BASE | values
    log = IssueLog()
    letter = Letter("TST02", "T0230L", "oioxml", everything, counts_of(everything))  # type: ignore[arg-type]
    written = edifact.write([letter], definitions, log)
    if written is None:
        return b"", {}, [i.code for i in log]
    (again,) = edifact.read(written, definitions, log)
    back = {leaf: value for leaf, value in again.values.items() if leaf not in BASE}
    return written, back, [i.code for i in log]


def side(number: int, role: str, **more: str) -> dict[str, object]:
    return {f"Side[{number}].{leaf}": v for leaf, v in ({"Role": role, "Type": "free", "Text": "x"} | more).items()}


def main(**more: str) -> dict[str, object]:
    return {f"Main.{leaf}": v for leaf, v in ({"Type": "free", "Text": "m"} | more).items()}


def test_the_first_of_two_alike_wins(definitions: Definitions) -> None:
    both = main() | side(1, "main") | side(2, "side")
    assert there_and_back(definitions, both)[1:] == (both, [])
    later = side(1, "side") | side(2, "main")
    assert there_and_back(definitions, later)[1:] == (later, [])


def test_what_would_read_as_the_winner_is_refused(definitions: Definitions) -> None:
    assert there_and_back(definitions, side(1, "main"))[::2] == (b"", ["LTR062"])


def test_a_text_of_a_list_stays_off_the_wire_and_comes_back(definitions: Definitions) -> None:
    for code, text in (("1A", "First text"), ("1C", "Third text")):
        values = main(Type="list", Code=code, Text=text)
        written, back, found = there_and_back(definitions, values)
        assert f"CIN+H+{code}:A'".encode() in written
        assert (back, found) == (values, [])


@pytest.mark.parametrize(
    "values",
    [
        main(Type="list", Code="1A", Text="Another text"),
        main(Type="list", Code="9Z", Text="First text"),
        main(Type="free", Code="1A", Text="First text"),
        main(Type="list", Text="First text"),
    ],
)
def test_any_other_text_is_written(definitions: Definitions, values: dict[str, object]) -> None:
    written, back, found = there_and_back(definitions, values)
    assert f":{values['Main.Text']}'".encode() in written
    assert (back, found) == (values, [])


def test_a_missing_text_of_a_list_is_filled_in(definitions: Definitions) -> None:
    values = side(1, "side", Type="list", Code="1B")
    del values["Side[1].Text"]
    assert there_and_back(definitions, values)[1] == values | {"Side[1].Text": "Second text"}


def test_neighbouring_texts_of_one_qualifier_are_refused(definitions: Definitions) -> None:
    def notes(*roles: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for number, role in enumerate(roles, 1):
            found |= {f"Note[{number}].Role": role, f"Note[{number}].Text": (("P00", f"{number}\n"),)}
        return found

    apart = notes("own", "theirs", "own")
    assert there_and_back(definitions, apart)[1:] == (apart, [])
    assert there_and_back(definitions, notes("own", "own"))[::2] == (b"", ["LTR063"])


def test_a_qualifier_without_text_comes_back(definitions: Definitions) -> None:
    values: dict[str, object] = {"Note[1].Role": "own"}
    written, back, found = there_and_back(definitions, values)
    assert b"FTX+EL+P00'" in written
    assert (back, found) == (values, [])


@pytest.mark.parametrize(
    ("values", "nad", "back", "found"),
    [
        ({"Identifier": "1", "IdentifierCode": "shak"}, b"NAD+BV+1:SKS:SST", {}, []),
        ({"Identifier": "1", "IdentifierCode": "gln"}, b"NAD+BV+1::9", {}, []),
        ({"Identifier": "1"}, b"NAD+BV+1::9", {"IdentifierCode": "gln"}, ["LTR051"]),
        ({"IdentifierCode": "gln"}, b"NAD+BV+++", {}, []),
        ({"IdentifierCode": "shak"}, b"NAD+BV+++", {"IdentifierCode": "gln"}, ["LTR056"]),
        ({"IdentifierCode": "gln", "Street": "_"}, b"++N:_", {"Street": None}, ["LTR061"]),
    ],
)
def test_an_element_lives_by_its_first_field(
    definitions: Definitions, values: dict[str, str], nad: bytes, back: dict[str, str | None], found: list[str]
) -> None:
    before = {f"Doctor.{leaf}": v for leaf, v in ({"Name": "N"} | values).items()}
    written, after, codes = there_and_back(definitions, dict(before))
    wanted = before | {f"Doctor.{leaf}": v for leaf, v in back.items()}
    assert nad in written
    assert after == {leaf: v for leaf, v in wanted.items() if v is not None}
    assert codes == found


@pytest.mark.parametrize(
    ("version", "kind"), [("H0130R", "REF"), ("D0133L", "DIS"), ("D9134L", "LET"), ("Z1", "Ukendt")]
)
def test_a_list_by_beginnings_names_the_longest(definitions: Definitions, version: str, kind: str) -> None:
    written, back, found = there_and_back(definitions, {"Answers": version})
    assert f"UCM+{version}+{kind}'".encode() in written
    assert (back, found) == ({"Answers": version}, [])


def test_a_letter_about_something_else_is_carried_as_one_about_a_patient(definitions: Definitions) -> None:
    values: dict[str, object] = {"System": "true", "Contents": "Log"}
    written, back, found = there_and_back(definitions, values)
    assert b"PNA+PAT+SYSTEM+Data:Log'" in written
    assert (back, found) == (values, [])
    patient: dict[str, object] = {"Patient.Number": "SYSTEM", "Patient.Name": "Ida"}
    assert there_and_back(definitions, patient)[1:] == (patient, [])


@pytest.mark.parametrize(
    ("size", "content", "found"), [("3", "QUJD", []), ("4", "QUJD", ["LTR064"]), ("3", "QUJ!", ["LTR053"])]
)
def test_an_object_is_as_long_as_its_size_says(
    definitions: Definitions, size: str, content: str, found: list[str]
) -> None:
    values: dict[str, object] = {"Object.Size": size, "Object.Content": content}
    written, back, codes = there_and_back(definitions, values)
    assert codes == found
    assert bool(written) == (not found)
    if not found:
        assert b"+3:14:1:A'ABCUNP+3+1'" in written
        assert back == values


def test_a_segment_named_like_an_object_is_none(definitions: Definitions) -> None:
    written, _, _ = there_and_back(definitions, {"Object.Size": "3", "Object.Content": "QUJD"})
    forged = written.replace(b"UNO+1+AID:1+OBJ:TXT:TXT:91+3:14:1:A'ABCUNP+3+1'", b"UNO+1'OBJ+hemmelig'UNP+3+1'")
    log = IssueLog()
    (letter,) = edifact.read(forged, definitions, log)
    assert "Object.Content" not in letter.values
    assert {i.code for i in log if i.severity == "error"}
