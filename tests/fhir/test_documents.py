"""Messages as FHIR documents: what is in them, where the values went, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.errors import MappingError
from converter.fhir.documents import Documents
from converter.issues import IssueLog
from tests.cases import convert

LETTERS = Path(__file__).resolve().parents[2] / "fixtures" / "letters"
CASES = sorted(path.parent for kind in ("DIS01", "DIS02", "DIS07") for path in (LETTERS / kind).glob("*/bundle.json"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    table = Directory.load(LETTERS.parent / "organisations.csv", IssueLog())
    return Engine(directory=table, document=True)


def made(engine: Engine, path: Path) -> tuple[Outcome, dict[str, Any]]:
    (outcome,) = engine.convert(path.read_bytes(), name=path.name)
    assert outcome.output is not None, [i.message for i in outcome.issues]
    return outcome, json.loads(outcome.output)


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def codes(outcome: Outcome) -> set[str]:
    return {issue.code for issue in outcome.issues}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name} {case.name}")
def test_every_letter_becomes_a_document(engine: Engine, case: Path) -> None:
    message = json.loads((case / "bundle.json").read_text(encoding="utf-8"))
    outcome, document = made(engine, case / "bundle.json")
    assert [i.message for i in outcome.issues if i.severity == "error"] == []
    kinds = [entry["resource"]["resourceType"] for entry in document["entry"]]
    assert kinds[0] == "Composition"
    assert not {"MessageHeader", "Provenance"} & set(kinds)
    assert document["type"] == "document"
    assert document["timestamp"] == message["timestamp"]
    assert document["identifier"]["value"] == f"urn:uuid:{document['id']}"
    assert document["id"] != message["id"]
    assert document["entry"][0]["resource"]["identifier"] == message["identifier"]
    twin = next(case / name for name in ("message.edi", "message.xml") if (case / name).is_file())
    assert json.loads(convert(engine, twin, "fhir").output or b"") == document


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name} {case.name}")
def test_every_text_of_the_letter_is_in_the_document(engine: Engine, case: Path) -> None:
    message = json.loads((case / "bundle.json").read_text(encoding="utf-8"))
    _, document = made(engine, case / "bundle.json")
    before = message["entry"][1]["resource"]["section"]
    after = document["entry"][0]["resource"]["section"]
    flat = [part for section in after for part in section.get("section", [section])]
    assert sorted(s["text"]["div"] for s in flat) == sorted(s["text"]["div"] for s in before)
    assert all({"title", "code", "text"} <= section.keys() for section in after)


def test_texts_that_stand_several_times_are_parts_of_one_section(engine: Engine) -> None:
    outcome, document = made(engine, LETTERS / "DIS01/many-texts/message.xml")
    composition = document["entry"][0]["resource"]
    (course,) = [s for s in composition["section"] if s["code"]["coding"][0]["code"] == "8648-8"]
    titles = [part["title"] for part in course["section"]]
    assert titles == [f"{course['title']} {number}" for number in range(1, len(titles) + 1)]
    assert len(titles) > 1
    assert all(title in course["text"]["div"] for title in titles)
    assert outcome.ledger is not None
    texts = [entry for entry in outcome.ledger.entries if entry.leaf.endswith("Text01")]
    assert [entry.target for entry in texts] == [
        f"/entry/0/resource/section/{composition['section'].index(course)}/section/{n}/text/div"
        for n in range(len(titles))
    ]


def test_the_ledger_says_where_values_stand_in_the_document(engine: Engine) -> None:
    outcome, document = made(engine, LETTERS / "DIS01/full/message.xml")
    assert outcome.ledger is not None
    gone = {entry.leaf.rpartition(".")[0] for entry in outcome.ledger.entries if entry.rule and not entry.target}
    assert gone == {"Sender.Contact"}
    for entry in outcome.ledger.entries:
        assert not entry.target or at(document, entry.target), entry


def test_what_the_composition_does_not_lead_to_is_reported(engine: Engine) -> None:
    outcome, _ = made(engine, LETTERS / "DIS01/full/message.xml")
    (issue,) = [issue for issue in outcome.issues if issue.code == "MAP009"]
    assert "1 Organization" in issue.message


def test_other_messages_are_refused(engine: Engine) -> None:
    (outcome,) = engine.convert((LETTERS / "DIS91/plain/message.edi").read_bytes())
    assert outcome.output is None
    assert "MAP008" in codes(outcome)


@pytest.mark.parametrize("focus", [None, [], [{"reference": "Patient/nobody"}], "x"])
def test_a_message_without_a_text_in_its_focus_is_refused(engine: Engine, focus: Any) -> None:
    message = json.loads((LETTERS / "DIS02/plain/bundle.json").read_text(encoding="utf-8"))
    message["entry"][0]["resource"]["focus"] = focus
    (outcome,) = engine.convert(json.dumps(message).encode())
    assert outcome.output is None
    assert "MAP008" in codes(outcome)


@pytest.mark.parametrize("text", ["document: x\n", "of: x\n", None])
def test_a_plan_that_cannot_be_used(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "fhir/documents").mkdir(parents=True)
    whole = "document: a\nof: b\nprofile: c\nfocus: d\nwithout: e\nnest: []\n"
    (tmp_path / "fhir/documents/a.yaml").write_text(text or whole)
    with pytest.raises(MappingError) as caught:
        Documents.load(tmp_path)
    assert [issue.code for issue in caught.value.issues] == ["LNT070"]
    assert caught.value.issues[0].at.file == "fhir/documents/a.yaml"
