"""Kinds of issue that no folder under fixtures/ can provoke: they need other mapping files, limits or tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.directory import Directory
from converter.edifact.crosscheck import cross_check
from converter.edifact.syntax import read_segments
from converter.engine import Engine
from converter.errors import MappingError
from converter.issues import IssueLog
from converter.ledger import Ledger
from converter.limits import Limits
from converter.yamlfile import loads
from tests.cases import FIXTURES

PLAIN = FIXTURES / "letters" / "DIS91" / "plain" / "message.edi"
MAPPING = "fhir/DIS91-carecommunication.yaml"


def codes(log: IssueLog) -> list[str]:
    return [issue.code for issue in log]


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("LNT063", "Envelope.Sent.Time] <-> timestamp", "Envelope.Sent.Time] => timestamp"),
        ("LNT063", "direction: forward, because: the letter has no", "direction: sideways, because: the letter has no"),
        ("LNT064", "| local_time(loss=ALL-08, back_loss=F91-16)", "| sun_dial"),
        ("LNT064", "loss: C91-12", "loss: C91-99"),
        ("LNT065", "from: AdditionalInformation.Subject", "from: AdditionalInformation.Object"),
        ("LNT066", ", because: the letter has no telephone number", ""),
        ("LNT067", "from: AdditionalInformation.Subject", "from: AdditionalInformation.Priority"),
        ("LNT068", "ids:\n  key: [$type, ", "ids:\n  key: [$type, Patient.CivilRegistrationNumber, "),
    ],
)
def test_faulty_mapping_does_not_load(code: str, old: str, new: str, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    others = shutil.ignore_patterns("CTL*-*.yaml", "DIS0*-*.yaml", "DIS1*-*.yaml", "DIS2*-*.yaml", "REF*-*.yaml")
    shutil.copytree(root / "mappings", folder, ignore=others)
    path = folder / MAPPING
    text = path.read_text(encoding="utf-8")
    if old not in text:
        pytest.fail(f"{MAPPING} no longer holds {old!r}: choose another place to break")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(MappingError) as raised:
        Engine(folder).load()
    found = [issue for issue in raised.value.issues if issue.code == code]
    assert found, [(issue.code, issue.message) for issue in raised.value.issues]
    assert found[0].at.file.endswith(MAPPING)
    assert found[0].at.line > 0


def test_yaml_beyond_its_limits_is_refused() -> None:
    for data in (b"a: b\n" * 250_000, b"a: " + b"[" * 60 + b"]" * 60):
        with pytest.raises(MappingError) as raised:
            loads(data, name="big.yaml")
        assert codes(IssueLog(raised.value.issues)) == ["LNT004"]


def test_two_rows_for_one_organisation_on_one_day_are_not_chosen_from(tmp_path: Path) -> None:
    table = tmp_path / "organisations.csv"
    lines = (FIXTURES / "organisations.csv").read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines, lines[1].replace("Medicinsk", "Kirurgisk")]) + "\n", encoding="utf-8")
    log = IssueLog()
    engine = Engine(directory=Directory.load(table, log))
    (outcome,) = engine.convert(PLAIN.read_bytes(), to="fhir", name="message.edi")
    assert "DIR051" in [issue.code for issue in outcome.issues]
    assert outcome.bundle is not None
    assert lines[1].split(",")[1] not in str(outcome.bundle)


def test_fhir_in_xml_is_recognised_and_refused() -> None:
    (outcome,) = Engine().convert(b'<Bundle xmlns="http://hl7.org/fhir"><id value="1"/></Bundle>', name="bundle.xml")
    assert [issue.code for issue in outcome.issues] == ["PRO018"]
    assert outcome.output is None


@pytest.mark.parametrize("entries", [["a"], ["a", "b", "c"], ["a", "a"]])
def test_ledger_that_does_not_balance_is_reported(entries: list[str]) -> None:
    log = IssueLog()
    ledger = Ledger(len(entries), [(leaf, "mapped", "rule", "/id", "") for leaf in entries])
    ledger.check(["a", "b"], log)
    ledger.check({"a": 1, "b": 2}.keys(), log)
    assert codes(log) == ["SYS001"] * 2


def test_ledger_of_leaves_that_stand_twice() -> None:
    ledger, log = Ledger(2, [(leaf, "mapped", "rule", "/id", "") for leaf in "ab"]), IssueLog()
    ledger.check(["a", "a"], log)
    assert codes(log) == ["SYS001"]
    Ledger(2, [ledger.raw[0]] * 2).check(["a", "a"], log)
    assert codes(log) == ["SYS001"]


def test_ledger_that_balances_is_not_reported() -> None:
    log = IssueLog()
    Ledger(2, [(leaf, "mapped", "rule", "/id", "") for leaf in "ba"]).check(["a", "b"], log)
    assert codes(log) == []


def _segments(data: bytes, log: IssueLog, limits: Limits | None = None) -> None:
    for _ in read_segments(data, log, limits=limits):
        pass


def test_segment_with_too_many_elements_is_left_out() -> None:
    log = IssueLog()
    _segments(PLAIN.read_bytes().replace(b"BGM+EPI", b"BGM" + b"+" * 200_000, 1), log)
    assert "EDI013" in codes(log)


def test_object_beyond_the_limit_is_left_out() -> None:
    content = b"UNO+1+AID:1+OBJ:TXT:TXT:91+200:14:1:A'" + b"x" * 200 + b"UNP+200+1'"
    data = PLAIN.read_bytes().replace(b"S14+14'", content + b"S14+14'", 1)
    log = IssueLog()
    _segments(data, log, Limits(attachment=100))
    assert "EDI016" in codes(log)


def test_second_reader_that_agrees_says_nothing() -> None:
    log = IssueLog()
    cross_check(PLAIN.read_bytes(), log)
    assert codes(log) == []


def test_second_reader_is_not_asked_about_other_separators() -> None:
    log = IssueLog()
    data = PLAIN.read_bytes().replace(b"UNA:+.? '", b"UNA:+.? ~").replace(b"'\n", b"~\n")
    cross_check(data, log)
    assert codes(log) == ["EDI092"]


@pytest.mark.parametrize(
    ("code", "second"),
    [
        ("EDI090", lambda text: iter([[["UNB"], ["another reading"]]])),
        ("EDI091", lambda text: (_ for _ in ()).throw(ValueError(text))),
    ],
)
def test_second_reader_that_differs_or_fails_is_heard(
    code: str, second: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reader is replaced: no letter is known on which the two disagree."""
    monkeypatch.setattr("converter.edifact.crosscheck._tokens", second)
    log = IssueLog()
    cross_check(PLAIN.read_bytes(), log)
    assert set(codes(log)) == {code}
    assert "Elmer" not in str([issue.message for issue in log])
