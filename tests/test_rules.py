"""Rules about the content of letters: each finds its fault, on the days on which it holds, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.definitions import Definition
from converter.engine import Engine, mappings_folder
from converter.errors import MappingError
from converter.identifiers import cpr_birth_date, cpr_modulus11, date_part_ok, ecpr_shape_ok
from converter.issues import Issue, IssueLog, Severity
from converter.letter import Letter, Value
from converter.rules import Rules, load
from tests.cases import FIXTURES

LETTERS = FIXTURES / "letters"
PLAIN = LETTERS / "DIS91" / "plain"
NATIONAL, DECENTRAL = "0203291WQ3", "1206550VK9"  # documented by NSP and MedCom
NO_ISSUER = f"{NATIONAL[:6]}2{NATIONAL[7:]}"
LEVELS = [Rules.load(mappings_folder(), level) for level in range(6)]


def letter_of(engine: Engine, path: Path = PLAIN / "message.xml") -> tuple[Definition, Letter]:
    (outcome,) = engine.messages(path.read_bytes())
    letter = outcome.letter
    assert letter is not None
    definition = engine.definitions.get(letter.type, letter.version)
    assert definition is not None
    return definition, letter


def found(engine: Engine, changes: dict[str, Value], *, level: int = 5, rules: Rules | None = None) -> list[Issue]:
    """What the rules say about the plain letter with other values ("" for none)."""
    definition, letter = letter_of(engine)
    values = {**letter.values, **changes}
    log = IssueLog()
    other = replace(letter, values={leaf: value for leaf, value in values.items() if value != ""})
    (rules or LEVELS[level]).check(definition, other, log)
    return list(log)


def codes(engine: Engine, changes: dict[str, Value], *, level: int = 5) -> list[str]:
    return [issue.code for issue in found(engine, changes, level=level)]


def replaced(number: str, given: str = "Walter", surname: str = "Quist") -> dict[str, Value]:
    """A patient with a replacement number, whose initials are those of the documented example."""
    return {
        "Patient.CivilRegistrationNumber": "",
        "Patient.AlternativeIdentifier": number,
        "Patient.PersonGivenName": given,
        "Patient.PersonSurnameName": surname,
    }


def identified(code: str, number: str) -> dict[str, Value]:
    return {"Sender.IdentifierCode": code, "Sender.Identifier": number}


def without_check_digit(day: str, serial: str) -> str:
    """A number without its check digit that is none of the test persons'; made here and written down nowhere."""
    return next(n for n in (f"{day}{serial}{d}" for d in "123456789") if not cpr_modulus11(n))


def test_a_good_letter_has_no_findings(engine: Engine) -> None:
    for level in range(6):
        assert codes(engine, {}, level=level) == []


FAULTS: list[tuple[str, dict[str, Value], list[str]]] = [
    ("wrong check digit", {"Sender.EANIdentifier": "5790000120315"}, ["LTR020"]),
    ("no GLN", {"Receiver.EANIdentifier": "DKKMDKMDNET"}, ["LTR020"]),
    ("GLN as own number", identified("lokationsnummer", "5790000120315"), ["LTR020"]),
    ("29 February of 1900", {"Patient.CivilRegistrationNumber": "290200" + "3999"}, ["LTR030", "LTR031"]),
    ("ydernummer", identified("ydernummer", "1234"), ["LTR037"]),
    ("SHAK", identified("sygehusafdelingsnummer", "12"), ["LTR037"]),
    ("SOR", identified("sorkode", "1234567890"), ["LTR037"]),
    ("SOR check digit", identified("sorkode", "325371000016007"), ["LTR038"]),
    ("municipality", identified("kommunenummer", "999"), ["LTR039"]),
    ("local id", replaced("HOSP-12345"), ["LTR032"]),
    ("national", replaced(NATIONAL), ["LTR036"]),
    ("decentral", replaced(DECENTRAL, "Vera", "Krag"), []),
    ("no date", replaced("3302291WQ3"), ["LTR033"]),
    ("no issuer", replaced(NO_ISSUER), ["LTR034"]),
    ("other initials", replaced(NATIONAL, "Xenia"), ["LTR035", "LTR036"]),
    ("surname only", replaced(NATIONAL, ""), ["LTR036"]),
    ("initials that a number cannot have", replaced(NATIONAL, "Åse", "Ødegaard"), ["LTR036"]),
    (
        "another sex than the CPR number",
        {**replaced(DECENTRAL, "Vera", "Krag"), "Patient.CivilRegistrationNumber": "0201609996"},
        ["LTR042"],
    ),
    (
        "the same sex as the CPR number",
        {**replaced(DECENTRAL, "Vera", "Krag"), "Patient.CivilRegistrationNumber": "0201609995"},
        [],
    ),
    ("initials with an accent", replaced(NATIONAL.replace("W", "E"), "Élodie"), ["LTR036"]),
]


@pytest.mark.parametrize(("changes", "wanted"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faults(engine: Engine, changes: dict[str, Value], wanted: list[str]) -> None:
    issues = found(engine, changes)
    assert [i.code for i in issues] == wanted
    assert all(i.rule.partition(".")[0] in ("persons", "organisations") and i.at.path for i in issues)
    values = [str(value) for leaf, value in changes.items() if value and not leaf.endswith("Code")]
    assert not [value for value in values if any(value in issue.message for issue in issues)]


@pytest.mark.parametrize(("relation", "wanted"), [("mor", ["LTR042"]), ("far", []), ("uspec_paaroerende", [])])
def test_relations_tell_the_sex(engine: Engine, relation: str, wanted: list[str]) -> None:
    definition, letter = letter_of(engine, LETTERS / "REF01" / "full" / "message.xml")
    told = {"Relative.RelationCode": relation, "Relative.PersonIdentifier": NATIONAL}
    assert told.keys() <= definition.leaves.keys()
    log = IssueLog()
    LEVELS[4].check(definition, replace(letter, values={**letter.values, **told}), log)
    assert [issue.code for issue in log] == wanted


@pytest.mark.parametrize(
    "changes",
    [
        identified("ydernummer", "099901"),
        identified("ydernummer", "99901"),
        identified("sygehusafdelingsnummer", "9901010"),
        identified("sorkode", "325371000016006"),
        identified("kommunenummer", "411"),
        identified("kommunenummer", "0411"),
        identified("lokationsnummer", "5790000120314"),
    ],
)
def test_good_numbers_of_organisations(engine: Engine, changes: dict[str, Value]) -> None:
    assert codes(engine, changes) == []


def test_a_check_digit_is_graded_and_never_an_error(engine: Engine) -> None:
    leaf = "Patient.CivilRegistrationNumber"
    usual, known = without_check_digit("020371", "012"), without_check_digit("010165", "012")
    assert [(i.code, i.severity) for i in found(engine, {leaf: usual})] == [("LTR031", Severity.WARNING)]
    assert [(i.code, i.severity) for i in found(engine, {leaf: known})] == [("LTR031", Severity.INFO)]
    assert codes(engine, {leaf: "0201609995"}) == []  # an official test person
    right = next(n for n in (f"020371012{d}" for d in "0123456789") if cpr_modulus11(n))
    assert codes(engine, {leaf: right}) == []


LEVELLED = {"HOSP-12345": 0, "3302291WQ3": 1, NO_ISSUER: 2}


@pytest.mark.parametrize("number", LEVELLED)
def test_levels_of_replacement_numbers_add_up(engine: Engine, number: str) -> None:
    judged = [bool(codes(engine, replaced(number), level=level)) for level in range(6)]
    assert judged == [level >= LEVELLED[number] for level in range(6)]


def test_hints_and_collisions_come_with_the_highest_levels(engine: Engine) -> None:
    other = replaced(NATIONAL, "Xenia")
    assert [codes(engine, other, level=level) for level in range(6)] == [
        *([[]] * 3),
        *([["LTR035"]] * 2),
        ["LTR035", "LTR036"],
    ]


def test_a_letter_is_judged_by_the_rules_of_its_date(engine: Engine) -> None:
    """Before the news of November 2022 a local id was in order, before the reform of 2007 other municipalities."""

    def on(day: str, changes: dict[str, Value]) -> list[str]:
        return codes(engine, {"Letter.Authorisation.Date": day, **changes})

    assert on("2022-11-08", replaced("HOSP-12345")) == []
    assert on("2022-11-09", replaced("HOSP-12345")) == ["LTR032"]
    assert on("2006-12-31", identified("kommunenummer", "999")) == []
    assert on("2007-01-01", identified("kommunenummer", "999")) == ["LTR039"]
    assert on("", {**replaced("HOSP-12345"), "Envelope.Sent.Date": "2022-11-08"}) == []
    assert on("", {**replaced("HOSP-12345"), "Envelope.Sent.Date": ""}) == ["LTR032"]
    assert on("not a day", replaced("HOSP-12345")) == ["LTR032"]


DATED = """
rules:
  priority:
    owner: Invented parties
    source: an invented agreement
    valid_from: 2020-01-01
    valid_to: 2029-12-31
    severity: error
    paths: ["AdditionalInformation.Priority"]
    check: listed
    list: priorities
lists:
  priorities:
    source: an invented agreement
    editions:
      - {valid_from: 2020-01-01, values: [rutine]}
      - {valid_from: 2025-07-01, values: [rutine, høj_prioritet]}
"""


def own(tmp_path: Path, text: str, **more: str) -> Rules:
    folder = tmp_path / "rules"
    folder.mkdir(exist_ok=True)
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    (folder / "message.yaml").write_text("date: [Letter.Authorisation.Date]\n", encoding="utf-8")
    for name, content in more.items():
        (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
    return Rules.load(tmp_path)


def test_a_letter_is_judged_by_the_edition_of_a_list_that_is_valid_on_its_date(engine: Engine, tmp_path: Path) -> None:
    rules = own(tmp_path, DATED)
    judged = {}
    for day in ("2019-12-31", "2020-01-01", "2025-06-30", "2025-07-01", "2029-12-31", "2030-01-01"):
        changes: dict[str, Value] = {
            "Letter.Authorisation.Date": day,
            "AdditionalInformation.Priority": "høj_prioritet",
        }
        judged[day] = [(i.code, i.severity.value, i.rule) for i in found(engine, changes, rules=rules)]
    broken = [("LTR039", "error", "own.priority")]
    assert list(judged.values()) == [[], broken, broken, [], [], []]


def test_rules_about_leaves_that_repeat_find_each(engine: Engine, tmp_path: Path) -> None:
    rule = DATED.replace("AdditionalInformation.Priority", "**.RefDescription")
    changes: dict[str, Value] = {
        "Reference[1].RefDescription": "rutine",
        "Reference[2].RefDescription": "x",
        "Reference[3].RefDescription": "y",
    }
    issues = found(engine, changes, rules=own(tmp_path, rule))
    assert [i.at.path for i in issues] == ["Reference[2].RefDescription", "Reference[3].RefDescription"]


def test_action_priority_is_asked_for_where_the_version_has_it(engine: Engine) -> None:
    path = next(p for p in sorted(LETTERS.glob("DIS01/*without-priority/message.xml")))
    definition, letter = letter_of(engine, path)
    log = IssueLog()
    LEVELS[2].check(definition, letter, log)
    assert ("LTR040", "letters.action-priority") in [(i.code, i.rule) for i in log]
    assert "LTR040" not in codes(engine, {})


def test_the_limit_of_text_counts_all_texts_together(engine: Engine) -> None:
    leaf = "ClinicalInformation[1].Text01"
    half: Value = (("P00", "x" * 15_575),)
    assert codes(engine, {leaf: half, "ClinicalInformation[2].Text01": half}) == []
    assert codes(engine, {leaf: (("P00", "y"), *half), "ClinicalInformation[2].Text01": half}) == ["LTR041"]


def test_a_refused_letter_is_left_alone(engine: Engine) -> None:
    definition, letter = letter_of(engine)
    log = IssueLog()
    LEVELS[5].check(definition, replace(letter, refused=True, values={}), log)
    assert not len(log)


def test_findings_stand_at_the_place_of_the_value(engine: Engine) -> None:
    data = (PLAIN / "message.edi").read_bytes().replace(b":5790000120314", b":5790000120315", 1)
    data = data if data != (PLAIN / "message.edi").read_bytes() else data.replace(b"5790000120314", b"5790000120315")
    (outcome,) = engine.validate(data, name="m.edi")
    (issue,) = [i for i in outcome.issues if i.code == "LTR020"]
    assert (issue.at.file, issue.at.segment, issue.at.path) == ("m.edi", "UNB", "Sender.EANIdentifier")


def test_the_level_is_an_option_of_the_commands(tmp_path: Path, engine: Engine) -> None:
    definition, letter = letter_of(engine)
    assert definition
    text = (PLAIN / "message.xml").read_bytes()
    number = letter.text("Patient.CivilRegistrationNumber") or ""
    old = f"<CivilRegistrationNumber>{number}</CivilRegistrationNumber>".encode()
    path = tmp_path / "m.xml"
    path.write_bytes(text.replace(old, f"<AlternativeIdentifier>{NATIONAL}</AlternativeIdentifier>".encode()))
    seen = {}
    for level in ("2", "3", "5"):
        done = CliRunner().invoke(program, ["validate", str(path), "--ecpr-level", level])
        assert done.exit_code == 0, done.output
        seen[level] = [code for code in ("LTR035", "LTR036") if code in done.output]
    assert seen == {"2": [], "3": ["LTR035"], "5": ["LTR035", "LTR036"]}
    assert CliRunner().invoke(program, ["validate", str(path), "--ecpr-level", "6"]).exit_code == 2
    with pytest.raises(ValueError, match="0 to 5"):
        Rules([], (), 6)


BREAKS: list[tuple[str, Callable[[str], str], str]] = [
    ("check", lambda t: t.replace("check: listed", "check: colour"), "check must be one of"),
    ("no owner", lambda t: t.replace("    owner: Invented parties\n", ""), "has no owner"),
    ("unknown key", lambda t: t.replace("severity: error", "severity: error\n    colour: red"), "unknown key colour"),
    ("severity", lambda t: t.replace("severity: error", "severity: fatal"), "severity must be one of"),
    ("day", lambda t: t.replace("valid_from: 2020-01-01", "valid_from: 2020-02-30", 1), "no day such as"),
    ("list", lambda t: t.replace("list: priorities", "list: colours"), "no list colours"),
    ("paths", lambda t: t.replace('["AdditionalInformation.Priority"]', "here"), "must be a list of texts"),
    ("level", lambda t: t.replace("check: listed", "check: listed\n    ecpr_level: 9"), "whole number up to 5"),
    ("two conditions", lambda t: t.replace("check: listed", "check: listed\n    when: {a: [], b: []}"), "one leaf"),
    ("editions", lambda t: t[: t.index("    editions")], "has no editions"),
    ("code map", lambda t: t.replace("values: [rutine]", "codes: nowhere"), "no code map nowhere"),
    ("rule", lambda t: t.replace("rules:", "rules:\n  odd: text"), "odd must be a mapping"),
    ("kind", lambda t: t.replace("check: listed", "check: organisation-number\n    kind: shoe size"), "kind must be"),
]


@pytest.mark.parametrize(("spoil", "wanted"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS])
def test_faults_of_rule_files(tmp_path: Path, spoil: Callable[[str], str], wanted: str) -> None:
    with pytest.raises(MappingError) as caught:
        own(tmp_path, spoil(DATED))
    assert any(wanted in issue.message for issue in caught.value.issues)
    assert {issue.code for issue in caught.value.issues} == {"LNT300"}
    assert all(issue.at.line and issue.at.file.endswith("own.yaml") for issue in caught.value.issues)


def test_what_is_never_an_error_cannot_be_made_one(tmp_path: Path) -> None:
    text = DATED.replace("check: listed", "check: cpr-check-digit").replace("    list: priorities\n", "")
    with pytest.raises(MappingError) as caught:
        own(tmp_path, text)
    assert "never an error" in caught.value.issues[0].message


def test_every_rule_says_who_says_so_and_since_when() -> None:
    rules, dates = load(mappings_folder())
    assert len({rule.id for rule in rules}) == len(rules) > 10
    assert all(rule.owner and rule.source and rule.valid_from > "1900" and rule.paths for rule in rules)
    assert dates


# The questions about numbers that only rules ask


@pytest.mark.parametrize(
    ("number", "born"),
    [
        ("0201609995", "1960-01-02"),
        ("2512489996", "1948-12-25"),
        ("2509479989", "1947-09-25"),
        ("0108629996", "1962-08-01"),
    ],
)
def test_the_seventh_digit_gives_the_century(number: str, born: str) -> None:
    day = cpr_birth_date(number)
    assert day is not None
    assert day.isoformat() == born


def test_the_table_of_centuries() -> None:
    """cpr.dk: rows by the seventh digit, columns by the year; the numbers are made here."""
    wanted = {"0": (19, 19, 19), "3": (19, 19, 19), "4": (20, 19, 19), "5": (20, 20, 18), "8": (20, 20, 18)}
    wanted["9"] = (20, 19, 19)
    for seventh, centuries in wanted.items():
        for year, century in zip(("36", "37", "58"), centuries, strict=True):
            born = cpr_birth_date(f"0203{year}{seventh}000")
            assert born is not None
            assert born.year == century * 100 + int(year)
        assert cpr_birth_date(f"020357{seventh}000") == cpr_birth_date(f"020357{seventh}001")


def test_only_days_of_the_century_are_days() -> None:
    day = "290200"
    assert cpr_birth_date(day + "4000") is not None  # 2000 was a leap year
    assert cpr_birth_date(day + "0000") is None  # 1900 was none
    assert cpr_birth_date("0203291WQ3") is None


def test_shapes_of_replacement_numbers() -> None:
    assert ecpr_shape_ok(NATIONAL)
    assert not ecpr_shape_ok(NATIONAL.lower())
    assert not ecpr_shape_ok("0201609995")
    assert date_part_ok(NATIONAL)
    assert not date_part_ok("3302291WQ3")
