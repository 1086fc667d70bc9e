"""Lists of conditions: each coded diagnosis once, with its letter, unconfirmed, in documents the profile accepts."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.conditions import BUNDLE, FILE, Lists, Table, check
from converter.directory import Directory, Organisation
from converter.engine import Engine, mappings_folder
from converter.errors import InterchangeError
from converter.issues import IssueLog, Location
from converter.letter import Letter, Value, counts_of
from tests.cases import FIXTURES, letter_cases

AUTHOR = "5790000121526"
TABLE = Table.load(mappings_folder())
HERE = Location("letter.edi", 1, 1)
PATIENT = {"Patient.CivilRegistrationNumber": "0201609995", "Patient.PersonSurnameName": "Berggren"}
LETTER = {
    "Sender.EANIdentifier": AUTHOR,
    "Letter.Identifier": "B1",
    "Letter.Authorisation.Date": "2026-04-02",
    "Letter.Authorisation.Time": "10:00",
}


@pytest.fixture(scope="module")
def author(organisations: Directory) -> Organisation:
    found = organisations.find(AUTHOR, "2026-04-02")
    assert found is not None
    return found


def letter(**more: Value) -> Letter:
    """A letter with its patient; leaves are named with `_` for `.`."""
    values: dict[str, Value] = {**LETTER, **PATIENT, **{k.replace("__", "."): v for k, v in more.items()}}
    return Letter("REF01", "H0130R", "edifact", {k: v for k, v in values.items() if v}, counts_of(values))


def listed(*letters: Letter) -> tuple[list[dict[str, Any]], list[str]]:
    """The conditions of all lists, and what was told."""
    log, who = IssueLog(), Organisation(AUTHOR, "325251000016005", name="Lægerne")
    with Lists(TABLE) as lists:
        for one in letters:
            lists.add(one, HERE, log)
        documents = list(lists.documents(who))
        lists.report(log)
    entries = [e["resource"] for document in documents for e in document["entry"]]
    return [r for r in entries if r["resourceType"] == "Condition"], [i.code for i in log]


def code(condition: dict[str, Any]) -> tuple[str, str]:
    (coding,) = condition["code"]["coding"]
    return coding["system"].rpartition(".")[2], coding["code"]


def test_lists_of_all_fixtures_are_accepted_and_complete(engine: Engine, author: Organisation) -> None:
    """Each diagnosis of every letter, from the EDIFACT and the XML twin alike, stands once in its patient's list."""
    log, wanted = IssueLog(), set()
    with Lists(TABLE) as lists:
        for case in (
            c for c in letter_cases() if c.folder.parent.name in ("DIS02", "DIS03", "REF06", "REF07", "REF08")
        ):
            for path in case.messages:
                for outcome in engine.letters(path.read_bytes(), name=path.name):
                    assert outcome.letter is not None
                    lists.add(outcome.letter, HERE, log)
                    wanted |= _coded(outcome.letter)
        documents = list(lists.documents(author))
        assert lists.entries == len(wanted)
    profile, seen = engine.profile(BUNDLE), []
    assert profile is not None
    for document in documents:
        engine.narratives.add(document)
        found = IssueLog()
        profile.validate(document, found)
        assert [i.message for i in found if i.severity == "error"] == []
        number = document["entry"][1]["resource"]["identifier"][0]["value"]
        for condition in (e["resource"] for e in document["entry"][3:]):
            assert condition["verificationStatus"]["coding"][0]["code"] == "unconfirmed"
            source = condition["evidence"][0]["detail"][0]["identifier"]["value"]
            assert "Ikke klinisk bekræftet" in condition["note"][0]["text"]
            seen.append((number, source, condition["code"]["coding"][0]["code"]))
    assert sorted(set(seen)) == sorted(set(wanted_codes(wanted)))
    assert len(seen) == len(wanted) > 50
    assert len({e["fullUrl"] for d in documents for e in d["entry"]}) == sum(len(d["entry"]) for d in documents)


def _coded(letter: Letter) -> set[tuple[str, str, str, str]]:
    """Patient, letter, place and code of each diagnosis with an SKS or ICPC-2 code, looked up in the plainest way."""
    found, values = set(), {k: v for k, v in letter.values.items() if isinstance(v, str)}
    number, source = values.get("Patient.CivilRegistrationNumber", "0000000000"), values["Sender.EANIdentifier"]
    for leaf, value in values.items():
        place = leaf.removesuffix("DiagnoseCode")
        if place == leaf or number == "0000000000" or "MainAdditional" in leaf:
            continue
        kind = values.get(f"{place}DiagnoseTypeCode", "SKSdiagnosekode")
        forms = {"SKSdiagnosekode": "D[A-Z0-9]+", "ICPCkode": "[A-Z][0-9]{2}"}
        done = values.get(f"{place}DiagnoseDescriptionCode", "") in ("operation", "roentgenundersoegelse")
        if kind not in forms or done or not re.fullmatch(forms[kind], value):
            continue
        joined = [v for k, v in values.items() if k.endswith("DiagnoseCode") and "MainAdditional" in k]
        whole = "+".join([value, *joined]) if place == "Diagnose.Main." else value
        moment = values["Letter.Authorisation.Date"] + values["Letter.StatusCode"] + letter.type
        found.add((number, f"{source}#{values['Letter.Identifier']}", place + moment, whole))
    return found


def wanted_codes(wanted: set[tuple[str, str, str, str]]) -> list[tuple[str, str, str]]:
    return [(number, source, whole) for number, source, _, whole in wanted]


def test_codes_that_are_joined_stand_as_one() -> None:
    joined = {"Diagnose__Main__DiagnoseCode": "DS525", "Diagnose__Main__DiagnoseText": "Brud"}
    more = {"Diagnose__MainAdditional[1]__DiagnoseCode": "TUL2"}
    (condition,), _ = listed(letter(**joined, **more))
    assert code(condition) == ("12", "DS525+TUL2")
    assert condition["code"]["text"] == "Brud"


@pytest.mark.parametrize(
    ("kind", "value", "role", "expected", "told"),
    [
        ("SKSdiagnosekode", "DM171", "bidiagnose", [("12", "DM171")], ["MAP063"]),
        ("ICPCkode", "L90", "bidiagnose", [("31", "L90")], ["MAP063"]),
        ("SKSdiagnosekode", "8712", "bidiagnose", [], ["MAP061"]),
        ("uspecificeretkode", "DM171", "bidiagnose", [], ["MAP061"]),
        ("ICPCkode", "", "bidiagnose", [], ["MAP061"]),
        ("SKSdiagnosekode", "DM171", "operation", [], []),
    ],
)
def test_only_codes_of_lists_that_it_takes(
    kind: str, value: str, role: str, expected: list[tuple[str, str]], told: list[str]
) -> None:
    group = "Referral__ReferralAdditional[1]__Diagnose"
    leaves = {"Code": value, "TypeCode": kind, "Text": "Ondt", "DescriptionCode": role}
    found, codes = listed(letter(**{f"{group}{name}": leaf for name, leaf in leaves.items()}))
    assert [code(condition) for condition in found] == expected
    assert codes == told


REFER = {"Referral__Refer__DiagnoseCode": "DM171", "Referral__Refer__DiagnoseTypeCode": "SKSdiagnosekode"}


@pytest.mark.parametrize("number", ["", "0000000000", "30" + "02" + "609995"])
def test_a_patient_without_a_number_is_told(number: str) -> None:
    found, codes = listed(letter(**REFER, Patient__CivilRegistrationNumber=number))
    assert (found, codes) == ([], ["MAP062"])


def test_the_same_letter_again_adds_nothing_and_another_one_does() -> None:
    first, second = letter(**REFER), letter(**REFER, Letter__Identifier="B2")
    assert len(listed(first, first, second)[0]) == 2


def test_ids_are_not_made_of_the_patient() -> None:
    one, other = (
        listed(letter(**REFER, Patient__CivilRegistrationNumber=n))[0][0] for n in ("0201609995", "0504909995")
    )
    assert one["id"] == other["id"]


def test_a_mapping_folder_without_the_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(InterchangeError):
        Table.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("group: Diagnose.Other", "group: Diagnose.Otter", [("LNT064", "the element 'Diagnose.Otter.DiagnoseCode'")]),
        ("title: ", "titles: ", [("LNT063", "`title` is needed")]),
        ("D[A-Z0-9]+", "D[A-Z0-9+", [("LNT063", "no regular expression")]),
    ],
)
def test_faults_of_the_table(
    old: str, new: str, expected: list[tuple[str, str]], tmp_path: Path, engine: Engine
) -> None:
    text = (mappings_folder() / FILE).read_text("utf-8")
    (tmp_path / FILE).write_text(text.replace(old, new, 1) if old else text, "utf-8")
    known = {leaf for definition in engine.definitions for leaf in definition.leaves}
    found = check(Table.load(tmp_path), known)
    assert [(i.code, part in i.message) for i, (_, part) in zip(found, expected, strict=True)] == [
        (code_, True) for code_, _ in expected
    ]


def test_memory_does_not_grow_with_the_corpus(author: Organisation) -> None:
    """Ten times the letters, of ten times the patients: the same peak. The temporary file goes with the run."""

    def peak(number: int) -> int:
        tracemalloc.start()
        with Lists(TABLE) as lists:
            path, log = lists._path, IssueLog()
            for n in range(number):
                lists.add(letter(**REFER, Letter__Identifier=f"B{n}"), HERE, log)
                values = {"Patient__CivilRegistrationNumber": f"0201{n % 90 + 10}{n % 9000 + 1000}"}
                lists.add(letter(**REFER, **values, Letter__Identifier=f"C{n}"), HERE, log)
            lists._store.execute("DELETE FROM entries WHERE patient = '0201609995'")  # one of many letters
            assert sum(len(document["entry"]) == 4 for document in lists.documents(author)) > number // 2
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert not path.exists()
        return found

    small, large = peak(30), peak(300)
    assert large < small + 300_000


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(program, ["convert", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_command(tmp_path: Path) -> None:
    """A letter, its twin and its Bundle are one letter; a list is written for its patient, and judged."""
    folder = FIXTURES / "letters/REF01/full"
    inputs = [folder / name for name in ("message.edi", "message.xml", "bundle.json")]
    table = ("--sor", FIXTURES / "organisations.csv", "--author", AUTHOR)
    said = []
    for name in ("a.ndjson", "b.ndjson"):
        code_, _, told = run(*inputs, "--to", "conditionlist", *table, "-o", tmp_path / name)
        assert code_ == 0, told
        said.append(told)
    assert "1 patients, 6 diagnoses" in said[0]
    assert (tmp_path / "a.ndjson").read_bytes() == (tmp_path / "b.ndjson").read_bytes()
    document = json.loads((tmp_path / "a.ndjson").read_text("utf-8"))
    assert document["timestamp"] == "2026-04-02T10:40:00+02:00"
    code_, out, _ = run(inputs[0], "--to", "conditionlist", *table, "--on", "2026-11-01T12:00:00")
    assert (code_, json.loads(out)["timestamp"]) == (0, "2026-11-01T12:00:00+01:00")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--to", "conditionlist"], "name who makes the lists"),
        (["--to", "conditionlist", "--author", "5790000000000"], "has no SOR id for"),
        (["--to", "conditionlist", "--author", AUTHOR, "--ledger", "l.jsonl"], "--ledger: not for lists"),
        (["--author", AUTHOR], "only lists of conditions"),
    ],
)
def test_wrong_use(options: list[str], problem: str) -> None:
    code_, _, told = run(FIXTURES / "letters/REF01/full/message.edi", "--sor", FIXTURES / "organisations.csv", *options)
    assert (code_, problem in told) == (2, True), told
