"""The constructs of the template language that no letter of the project needs yet, on an invented type."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from converter import edifact
from converter.definitions import Definition, Definitions
from converter.edifact.envelope import read_messages
from converter.edifact.structure import Compiled
from converter.issues import IssueLog
from converter.letter import Letter, counts_of
from converter.limits import Limits
from tests.letters_strategy import letters, normal_form

TYPE = r"""
letter: TST01
root: TestLetter
namespace: urn:test
params: {assoc: T0130L, type: TST01}
codes:
  KIND: {home: HO, mobile: CE, work: WO, other: [], $other: HO}
  SUBJECT: {note: NO, plan: PL}
  COLOUR: {red: [R, X], green: ["", Y], $read: {G: green}}
elements:
  Envelope: {Sent: {Date: date, Time: time}, Identifier: an..14}
  Sender: {EANIdentifier: an..35}
  Receiver: {EANIdentifier: an..35}
  Letter: {Identifier: an..14, VersionCode: const X$assoc, At: {Date: date, Time: seconds}}
  Copy~: {Name~: an..35, Phone*3: an..25, Street~: an..35, Department~: an..35, Unit~: an..35, TypeCode: const COPY}
  Contact*4:
    Name*2: an..35
    Telephone*3: {Number: an..25, Kind: code KIND}
    Colour~: code COLOUR
  Object*3: {Identifier: an..36}
  Visit*9: {Subject: code SUBJECT, Text: text}
  Anamnesis~: text
  Findings~: text
edifact:
  - "UNB+UNOC:3+{Sender.EANIdentifier}:14+{Receiver.EANIdentifier}:14\
     +{Envelope.Sent.Date!yymmdd}:{Envelope.Sent.Time!hhmm}+{Envelope.Identifier}"
  - "UNH+{Letter.Identifier}+TSTMSG:D:93A:UN:{=Letter.VersionCode!x}+$type"
  - "DTM+137:{Letter.At.Date!ccyymmdd}{Letter.At.Time!hhmmss}:204"
  - group: S01
    each: Copy
    items:
      - "NAD+CCR+{Name}++{Department|_?Unit}:{Unit}:{Street||_}"
      - {opt: "CON++{Phone[1]}:{Phone[2]}"}
      - "SEQ++{#S01}"
  - group: S01
    each: Contact
    items:
      - "NAD+BV+++{Name[1]}:{Name[2]}::::US"
      - {each: Telephone, items: ["CON+{Kind@KIND}+{Number}:TE"]}
      - {opt: "PAS+{Colour@COLOUR.1}:{Colour@COLOUR.2}:Z"}
      - "SEQ++{#S01}"
  - group: S11
    items:
      - {each: Object, items: ["OBJ+{#each}+{Identifier!guid}"]}
      - {each: Visit, items: ["STS++9", "FTX+{Subject@SUBJECT}+~++{Text~}"]}
  - group: S12
    overflow: {tag: FTX, segments: "2", groups: "5"}
    items:
      - {opt: "FTX+NC+~++{Anamnesis~}"}
      - {opt: "FTX+CF+~++{Findings~}"}
"""
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    folder: Path = tmp_path_factory.mktemp("letters")
    (folder / "TST01.yaml").write_text(TYPE, encoding="utf-8")
    return Definitions.load(folder)


def of(definitions: Definitions) -> Definition:
    definition = definitions.get("TST01", "T0130L")
    assert definition is not None
    return definition


def renumbered(letter: Letter) -> Letter:
    """Without what the invented tree allows and no layout tells apart: a second of several and no first, a copy of
    nobody (constants tell nothing).
    """
    values = dict(letter.values)
    if not any(leaf.startswith("Copy.") and leaf != "Copy.TypeCode" for leaf in values):
        values.pop("Copy.TypeCode", None)
    for leaf in list(values):
        if leaf.endswith(("Name[2]", "Phone[2]")) and f"{leaf[:-3]}[1]" not in values:
            del values[leaf]
    return Letter(letter.type, letter.version, letter.syntax, values, counts_of(values))


@pytest.mark.parametrize("examples", [20, pytest.param(400, marks=pytest.mark.long)])
def test_every_construct_goes_there_and_back(definitions: Definitions, examples: int) -> None:
    @settings(SLOW, max_examples=examples)
    @given(letters(of(definitions)))
    def law(letter: Letter) -> None:
        goes_there_and_back(definitions, renumbered(letter))

    law()


def goes_there_and_back(definitions: Definitions, letter: Letter) -> None:
    definition = of(definitions)
    log = IssueLog()
    written = edifact.write([letter], definitions, log)
    if written is None:
        assert {i.code for i in log} - {"LTR051"} == {"LTR055"}
        return
    found = IssueLog()
    (again,) = edifact.read(written, definitions, found)
    assert {i.code for i in found} <= {"EDI021"}
    wanted = normal_form(definition, letter)
    for leaf, value in list(wanted.items()):
        if leaf == "Copy.Street" and value == "_":
            del wanted[leaf]
        if leaf == "Copy.Unit" and "Copy.Department" not in wanted:
            wanted["Copy.Department"] = "_"
    assert again.values == wanted
    assert again.counts == counts_of(again.values)
    assert edifact.write([again], definitions, found) == written

    refusing = Compiled(definition)
    refusing.in_order = lambda *_: -1
    message = next(read_messages(written, found))
    assert message.interchange.header is not None
    arranged = Letter("TST01", "T0130L", "edifact")
    log = IssueLog()
    refusing.read([message.interchange.header, *message.segments[:-1]], arranged, log, Limits(), headless=False)
    assert [i.code for i in log] == []
    assert arranged.values == again.values
    assert arranged.places == again.places


LETTER = """UNA:+.? '
UNB+UNOC:3+A:14+B:14+231120:1745+K1'
UNH+B1+TSTMSG:D:93A:UN:T0130L+TST01'
DTM+137:202311201745:204'
S01+01'
NAD+CCR+Navn++_:Enhed:_'
SEQ++1'
S01+01'
NAD+BV+++Ida:Ole::::US'
CON+CE+111:TE'
CON+HO+222:TE'
PAS+:Y:Z'
SEQ++2'
S01+01'
NAD+BV+++Eva:::::US'
PAS+G:Y:Z'
SEQ++3'
S11+11'
OBJ+1+6fb927da3be14b9f8875a6326617d20b'
OBJ+2+kort'
STS++9'
FTX+NO+P00++en'
FTX+NO+P00++to'
STS++9'
FTX+PL+P00++tre'
S12+12'
FTX+NC+P00++a:b:c:d:e'
FTX+NC+P00++f\\'
S12+12'
FTX+NC+PF0++g'
FTX+CF+P00++h'
UNT+30+B1'
UNZ+1+K1'
"""


def test_a_letter_with_every_construct(definitions: Definitions) -> None:
    log = IssueLog()
    data = LETTER.replace("\n", "").encode("latin-1")
    (letter,) = edifact.read(data, definitions, log)
    assert [i.code for i in log] == []
    assert letter.extras == []
    values = {k: v for k, v in letter.values.items() if not k.startswith(("Envelope", "Sender", "Receiver"))}
    assert values == {
        "Letter.Identifier": "B1",
        "Letter.VersionCode": "XT0130L",
        "Letter.At.Date": "2023-11-20",
        "Letter.At.Time": "17:45:00",
        "Copy.Name": "Navn",
        "Copy.Department": "_",
        "Copy.Unit": "Enhed",
        "Copy.TypeCode": "COPY",
        "Contact[1].Name[1]": "Ida",
        "Contact[1].Name[2]": "Ole",
        "Contact[1].Telephone[1].Kind": "mobile",
        "Contact[1].Telephone[1].Number": "111",
        "Contact[1].Telephone[2].Kind": "home",
        "Contact[1].Telephone[2].Number": "222",
        "Contact[1].Colour": "green",
        "Contact[2].Name[1]": "Eva",
        "Contact[2].Colour": "green",
        "Object[1].Identifier": "6fb927da-3be1-4b9f-8875-a6326617d20b",
        "Object[2].Identifier": "kort",
        "Visit[1].Subject": "note",
        "Visit[1].Text": (("P00", "en\nto\n"),),
        "Visit[2].Subject": "plan",
        "Visit[2].Text": (("P00", "tre\n"),),
        "Anamnesis": (("P00", "a\nb\nc\nd\ne\nf"), ("PF0", "g\n")),
        "Findings": (("P00", "h\n"),),
    }
    assert letter.counts == {
        "Contact": 2,
        "Contact[1].Name": 2,
        "Contact[1].Telephone": 2,
        "Contact[2].Name": 1,
        "Object": 2,
        "Visit": 2,
    }
    written = edifact.write([letter], definitions, log)
    assert written is not None
    text = written.decode("latin-1")
    for segment in ("DTM+137:20231120174500:204'", "NAD+CCR+Navn++_:Enhed:_'", "PAS+:Y:Z'SEQ++3'", "S12+12'FTX+NC+PF0"):
        assert segment in text, segment


def test_a_value_without_a_row_gets_the_code_of_the_others(definitions: Definitions) -> None:
    log = IssueLog()
    (letter,) = edifact.read(LETTER.replace("\n", "").encode("latin-1"), definitions, log)
    letter.values["Contact[1].Telephone[1].Kind"] = "other"
    written = edifact.write([letter], definitions, log)
    assert written is not None
    assert b"CON+HO+111:TE'" in written


def test_a_repetition_without_a_place_is_reported(definitions: Definitions) -> None:
    log = IssueLog()
    (letter,) = edifact.read(LETTER.replace("\n", "").encode("latin-1"), definitions, log)
    for number in (1, 2, 3):
        letter.values[f"Copy.Phone[{number}]"] = f"11{number}"
    written = edifact.write([letter], definitions, log)
    assert written is not None
    assert b"CON++111:112'" in written
    assert [(i.code, i.at.path) for i in log] == [("LTR056", "Copy.Phone[3]")]


def test_the_table_of_every_construct(definitions: Definitions) -> None:
    places = {row.leaf: row.edifact for row in of(definitions).table()}
    assert places["Letter.At.Time"] == "DTM[137].1.2(9-14)"
    assert places["Contact.Telephone.Number"] == "S01(BV)*/CON*.2.1"
    assert places["Contact.Colour"] == "S01(BV)*/PAS.1.1 S01(BV)*/PAS.1.2"
    assert places["Visit.Subject"] == "S11/FTX*.1.1"
    assert places["Anamnesis"] == "S12*/FTX[NC].4"
