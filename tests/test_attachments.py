"""Letters with objects: joined to the letters that name them, split off again, and every way in which that goes wrong.

Steps of MedCom's test protocol for the conversion service (v1.4) stand in the names of tests: `step_3_2_3_4`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.batch.options import not_across
from converter.cli import program
from converter.engine import Engine, Outcome
from converter.ledger import losses_by_leaf
from converter.letter import Value, pattern
from converter.limits import Limits
from converter.records import State
from converter.rehearsal.golden import declared
from tests import ledger_tables
from tests.cases import FIXTURES, canonical, on_one_line
from tests.made_receipts import DIRECTORY, NOW, SENTENCE

FILES, OF_TWO, FOREIGN = (
    FIXTURES / "letters/DIS91" / n for n in ("files", "files-of-two-letters", "file-of-other-kind")
)
SETS = sorted(path.parent for path in FIXTURES.glob("letters/*/*/attachment.edi"))
NAMES = [f"{folder.parent.name}/{folder.name}" for folder in SETS]
TABLE = ("--sor", str(FIXTURES / "organisations.csv"))
Change = Callable[[bytes], bytes]


def joined(engine: Engine, letter: bytes, *attachments: bytes) -> Outcome:
    """The outcome of a letter that is converted together with letters that hold objects."""
    partners = engine.partners((data, f"file-{n}.xml") for n, data in enumerate(attachments, 1))
    (outcome,) = engine.convert(letter, to="fhir", name="letter", partners=partners)
    return outcome


def of(folder: Path, suffix: str = "xml") -> tuple[bytes, ...]:
    """The letter of a case, then the letters with its objects."""
    beside = sorted(folder.glob(f"attachment*.{suffix}"))
    return tuple(path.read_bytes() for path in (folder / f"message.{suffix}", *beside))


def codes(outcome: Outcome) -> set[str]:
    """The codes of what was found about joining."""
    return {issue.code for issue in outcome.issues if "MAP040" <= issue.code <= "MAP055"}


def attachments(outcome: Outcome) -> list[dict[str, Any]]:
    """The attachments of a CareCommunication, with the id of each."""
    assert outcome.bundle is not None
    (communication,) = [
        e["resource"] for e in outcome.bundle["entry"] if e["resource"]["resourceType"] == "Communication"
    ]
    return [p for p in communication["payload"] if "contentAttachment" in p]


def part(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """An extension of a payload, by the end of its URL."""
    return next((e for e in payload["extension"] if e["url"].endswith(f"medcom-core-{name}-extension")), {})


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(program, [str(a) for a in arguments], input=stdin)


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", SETS, ids=NAMES)
def test_the_letters_with_the_objects_come_back(engine: Engine, folder: Path) -> None:
    """Exactly, or each leaf that does not has a loss in the ledger. The content itself always does."""
    letter, *others = of(folder, "edi")
    forward = joined(engine, letter, *others)
    assert forward.ledger is not None
    assert forward.output is not None
    assert len(forward.partners) == len(others)
    back, *split = engine.convert(forward.output, to="oioxml", name="bundle.json")
    assert back.ledger is not None
    losses = losses_by_leaf(forward.ledger, back.ledger)
    assert [o.type for o in split] == [p.type for p in forward.partners]
    for k, (before, after) in enumerate(zip(forward.partners, split, strict=True), 1):
        assert after.letter is not None
        was, now = (_named(k, letter.values) for letter in (before, after.letter))
        _, undeclared = declared(was, now, losses)
        assert not undeclared
        assert {v for n, v in was.items() if "Base64" in n} == {v for n, v in now.items() if "Base64" in n}


def _named(k: int, values: dict[str, Value]) -> dict[str, Value]:
    return {f"Attachment[{k}].{leaf}": value for leaf, value in values.items()}


def test_a_set_whose_letters_lose_nothing_comes_back_byte_by_byte(organisations: Any) -> None:
    """A draft referral keeps all; with the sidecar also what only the envelope said."""
    folder = FIXTURES / "letters/REF01/files"
    keeping = Engine(directory=organisations, sidecar=True, validate=False)
    forward = joined(keeping, *of(folder, "edi"))
    assert forward.output is not None
    restoring = Engine(directory=organisations, kept={forward.message: forward.kept}, validate=False)
    for suffix, to, form in (("edi", "edifact", on_one_line), ("xml", "oioxml", canonical)):
        outputs = [o.output or b"" for o in restoring.convert(forward.output, to=to, name="bundle.json")]
        assert [form(data) for data in outputs] == [form(data) for data in of(folder, suffix)]


@pytest.mark.parametrize("folder", SETS, ids=NAMES)
def test_every_leaf_of_every_letter_is_accounted_for(engine: Engine, folder: Path) -> None:
    forward = joined(engine, *of(folder))
    assert forward.ledger is not None
    assert forward.letter is not None
    told = [entry.leaf for entry in forward.ledger.entries]
    wanted = [*forward.letter.values]
    for k, partner in enumerate(forward.partners, 1):
        wanted += _named(k, partner.values)
    assert sorted(told) == sorted(wanted)
    assert "SYS001" not in {issue.code for issue in forward.issues}


def test_what_the_ledger_says_of_an_attachment_stands_in_its_own_file(tmp_path: Path) -> None:
    for name, data in zip(("letter.edi", "files.edi"), of(FILES, "edi"), strict=True):
        (tmp_path / name).write_bytes(data)
    ledger = tmp_path.with_suffix(".ndjson")
    run("convert", tmp_path, "-o", tmp_path.with_suffix(".json"), "--ledger", ledger, *TABLE)
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    files = [line for line in lines if line.get("path", "").startswith("Attachment[1].BinaryObject[2].")]
    assert len(files) == 5
    assert all(line["line"] >= 1 for line in files)
    assert [line["input"] for line in lines if "input" in line] == [str(tmp_path / "letter.edi")]


def test_the_store_groups_a_letter_with_its_attachments(tmp_path: Path) -> None:
    import sqlite3

    for name, data in zip(("letter.xml", "files.xml", "more.xml"), of(OF_TWO), strict=True):
        (tmp_path / name).write_bytes(data)
    state, out = tmp_path.with_suffix(".db"), tmp_path.with_suffix(".json")
    run("convert", tmp_path, "-o", out, "--state", state, *TABLE)
    rows = sqlite3.connect(state).execute("SELECT type, letter_id, group_id, message_header_id FROM message").fetchall()
    assert sorted(row[0] for row in rows) == ["BIN01", "BIN01", "DIS91"]
    assert len({row[1] for row in rows}) == 3
    assert len({row[2] for row in rows} | {row[3] for row in rows}) == 1
    # The way back finds the same rows.
    run("convert", out, "-o", tmp_path.with_suffix(".xml"), "--state", state, *TABLE)
    assert len(sqlite3.connect(state).execute("SELECT * FROM message").fetchall()) == 3


# -- what stands in one call -------------------------------------------------------------------------------------------


def _folder(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    for n, place in enumerate(order):
        (tmp_path / "in" / f"{place}").mkdir(parents=True)
        (tmp_path / "in" / f"{place}" / "x.xml").write_bytes(of(OF_TWO)[n])
    return [str(tmp_path / "in")], None


def _zip(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for n in order:
            archive.writestr(f"{n}.xml", of(OF_TWO)[n])
    return [str(tmp_path / "in.zip")], None


def _tar(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    with tarfile.open(tmp_path / "in.tar.gz", "w:gz") as archive:
        for n in order:
            info = tarfile.TarInfo(f"{n}.edi")
            info.size = len(of(OF_TWO, "edi")[n])
            archive.addfile(info, io.BytesIO(of(OF_TWO, "edi")[n]))
    return [str(tmp_path / "in.tar.gz")], None


def _one_file(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    (tmp_path / "all.edi").write_bytes(b"".join(of(OF_TWO, "edi")[n] for n in order))
    return [str(tmp_path / "all.edi")], None


def _standard_input(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    return ["-"], b"".join(of(OF_TWO, "edi")[n] for n in order)


def _mixed(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    paths, _ = _zip(tmp_path, order[:1])
    (tmp_path / "second.xml").write_bytes(of(OF_TWO)[order[1]])
    return [*paths, "-", str(tmp_path / "second.xml")], of(OF_TWO, "edi")[order[2]]


def _envelopes(tmp_path: Path, order: list[int]) -> tuple[list[str], bytes | None]:
    for n in order:
        (tmp_path / f"{n}.xml").write_bytes(of(OF_TWO)[n])
        run("convert", tmp_path / f"{n}.xml", "--to", "edifact", "--envelope", "-o", tmp_path / f"in-{n}.xml")
    return [str(tmp_path / f"in-{n}.xml") for n in order], None


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]], ids=["letter-first", "letter-last"])
@pytest.mark.parametrize("inputs", [_folder, _zip, _tar, _one_file, _standard_input, _mixed, _envelopes])
def test_letters_and_attachments_are_found_wherever_they_stand(tmp_path: Path, inputs: Any, order: list[int]) -> None:
    paths, stdin = inputs(tmp_path, order)
    done = run("convert", *paths, "-o", tmp_path / "out.json", *TABLE, stdin=stdin)
    assert (tmp_path / "out.json").read_bytes() == (OF_TWO / "bundle.json").read_bytes()
    assert "3 messages: 1 converted, 0 refused, 2 joined to their letters" in done.output
    assert "MAP04" not in done.output


def test_a_pipe_is_read_once_and_joined(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(of(FILES)[1]))
    writer.start()
    done = run("convert", FILES / "message.xml", tmp_path / "pipe", "-o", tmp_path / "out.json", *TABLE)
    writer.join()
    assert (tmp_path / "out.json").read_bytes() == (FILES / "bundle.json").read_bytes(), done.output


def test_the_summary_counts_what_was_joined(tmp_path: Path) -> None:
    paths, _ = _folder(tmp_path, [2, 0, 1])
    run("convert", *paths, "-o", tmp_path / "out", *TABLE)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["messages"] == {"written": 1, "refused": 0, "skipped": 0, "joined": 2}
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.json")) == ["summary.json", "x.xml.json"]


def test_other_targets_convert_each_letter_for_itself(tmp_path: Path) -> None:
    paths, _ = _folder(tmp_path, [0, 1, 2])
    done = run("convert", *paths, "--to", "edifact", "-o", tmp_path / "out")
    assert "3 messages: 3 converted, 0 refused" in done.output


def test_a_file_that_changed_between_the_two_looks_is_not_joined(engine: Engine) -> None:
    letter, files = of(FILES)
    partners = engine.partners()
    for held, broken in engine.holders(files, "files"):
        partners.add(held, broken, "files", lambda: None)
    (outcome,) = engine.convert(letter, name="letter", partners=partners)
    assert "MAP043" in codes(outcome)


def test_what_a_batch_missed_may_stand_in_another_input(engine: Engine) -> None:
    letter, files = of(FILES, "edi")
    (alone,) = engine.convert(letter, name="letter")
    joined, *_ = engine.convert(letter + files, name="both")
    assert [issue.code for issue in not_across(alone)] == ["BAT060"]
    assert not not_across(joined)


# -- bad input: each an issue of its own -------------------------------------------------------------------------------

OBJECT = b"a3c1e5f7-091b-2d3f-4a5b-6c7d8e9f0a1b"


def _replaced(was: bytes, now: bytes) -> Change:
    return lambda data: data.replace(was, now, 1)


def _without_cpr(data: bytes) -> bytes:
    patient = re.compile(rb"<Patient>.*</Patient>")
    return patient.sub(b"<SystemInformation>true</SystemInformation><Contents>Katalog</Contents>", data)


BAD: dict[str, tuple[Change, str, int]] = {
    "other-patient": (_replaced(b"0504909995", b"0201919996"), "MAP044", 0),
    "no-patient": (_without_cpr, "MAP045", 0),
    "broken": (_replaced(b"<ObjectCode>billede", b"<ObjectCode>lyd"), "MAP043", 0),
    "no-content": (
        lambda d: re.sub(rb"<Object_Base64Encoded>[^<]*", b"<Object_Base64Encoded>", d, count=1),
        "MAP043",
        1,
    ),
    "twice-in-one": (_replaced(b"b4d2f608-1a2c-3e40-5b6c-7d8e9f0a1b2c", OBJECT), "MAP042", 0),
    "not-named": (_replaced(b"b4d2f608-1a2c-3e40-5b6c-7d8e9f0a1b2c", OBJECT[:-1] + b"c"), "MAP046", 1),
    "other-kind-than-said": (_replaced(b"<ObjectExtensionCode>png", b"<ObjectExtensionCode>gif"), "MAP048", 2),
    "other-bytes-than-kind": (_replaced(b">JVBERi", b">AAAAAA"), "MAP050", 2),
    "other-size": (_replaced(b"<OriginalObjectSize>1", b"<OriginalObjectSize>9"), "MAP049", 2),
}


@pytest.mark.parametrize("name", BAD)
def test_what_speaks_against_an_attachment_is_told(engine: Engine, name: str) -> None:
    change, code, contents = BAD[name]
    letter, files = of(FILES)
    assert change(files) != files
    outcome = joined(engine, letter, change(files))
    assert code in codes(outcome)
    assert sum("data" in p["contentAttachment"] for p in attachments(outcome)) == contents
    assert ("MAP040" in codes(outcome)) == (contents < 2)
    assert not codes(joined(engine, letter, files)), "the set without the fault has none"
    mapping = engine.mappings.for_letter(outcome.type)
    assert mapping is not None
    assert outcome.ledger is not None
    table = ledger_tables.fates(mapping.document)
    table |= ledger_tables.attached(table, engine.attachments, engine.definitions)
    for entry in outcome.ledger.entries:  # README's table knows what became of it
        assert (entry.disposition, entry.loss) in ledger_tables.allowed(table, pattern(entry.leaf), sidecar=False), (
            entry
        )


def test_a_file_that_is_named_and_not_joined_is_told_at_the_file_too(engine: Engine) -> None:
    letter, files = of(FILES, "edi")
    first, file = engine.convert(letter + files.replace(b"0504909995", b"0201919996"), name="both")
    assert codes(first) == {"MAP040", "MAP044"}
    assert (codes(file), file.output, file.joined) == ({"MAP055"}, None, False)


def test_attachments_beyond_the_limit_are_left_out(organisations: Any) -> None:
    letter, *files = of(OF_TWO)
    small = Engine(directory=organisations, limits=Limits(joined=300))
    outcome = joined(small, letter, *files)
    assert {"MAP053", "MAP040"} <= codes(outcome)
    assert 0 < sum("data" in p["contentAttachment"] for p in attachments(outcome)) < 3


def test_two_files_with_one_object_id_are_both_left_out(engine: Engine) -> None:
    letter, files = of(FILES)
    other = files.replace(b"JVBERi0xLjQK", b"JVBERi0xLjMK")
    outcome = joined(engine, letter, files, other)
    assert {"MAP042", "MAP040"} <= codes(outcome)
    assert not any("data" in p["contentAttachment"] for p in attachments(outcome))


def test_a_copy_in_another_envelope_is_no_second_file(engine: Engine) -> None:
    letter, files = of(FILES)
    again = re.sub(rb"<Identifier>BILAG[^<]*", b"<Identifier>BILAGIGEN", files)
    assert again != files
    assert not codes(joined(engine, letter, files, again))


def test_the_file_between_the_same_parties_is_the_letters_own(engine: Engine) -> None:
    letter, files = of(FILES)
    elsewhere = files.replace(b"5790000121526", b"5790001382445").replace(b"FIL00071", b"FIL00072")
    assert elsewhere != files
    outcome = joined(engine, letter, elsewhere, files)
    assert not codes(outcome)
    assert outcome.output == joined(engine, letter, files).output


def test_an_object_that_is_named_twice_is_there_once(engine: Engine) -> None:
    letter, files = of(FILES)
    twice = letter.replace(b"b4d2f6081a2c3e405b6c7d8e9f0a1b2c", b"a3c1e5f7091b2d3f4a5b6c7d8e9f0a1b")
    outcome = joined(engine, twice, files)
    assert "MAP047" in codes(outcome)
    assert sum("data" in p["contentAttachment"] for p in attachments(outcome)) == 1


def test_two_letters_with_one_id_are_told(tmp_path: Path) -> None:
    letter = (FILES / "message.edi").read_bytes()
    later = letter.replace(b"202603281015", b"202603291015")
    changed = letter.replace(b"Brev med bilag", b"Brev uden bilag")
    for name, data in (("a", letter), ("b", later), ("c", letter), ("d", changed)):
        (tmp_path / f"{name}.edi").write_bytes(data)
    done = run("convert", tmp_path, "-o", tmp_path.with_suffix(".ndjson"), "--format", "json", *TABLE)
    found = [finding for finding in json.loads(done.stderr) if finding["code"] == "MAP052"]
    told = [(Path(finding["file"]).name, finding["severity"]) for finding in found]
    assert told == [("b.edi", "warning"), ("d.edi", "error")]


# -- MedCom's test protocol --------------------------------------------------------------------------------------------


def bundle_of(folder: Path, engine: Engine) -> Outcome:
    """The Bundle of a case and its attachments."""
    outcome = joined(engine, *of(folder))
    assert not [i.message for i in outcome.issues if i.severity == "error"]
    return outcome


def test_step_3_2_3_4_and_12_a_letter_and_its_file_make_one_bundle(shared: Path, engine: Engine) -> None:
    flow = shared / "samples/conversion-service"
    letter, file = ((flow / f"Flow1-{name}_Ex_to_FHIR.xml").read_bytes() for name in ("XDIS91", "XBIN01"))
    outcome = joined(engine, letter, file)
    (payload,) = attachments(outcome)
    content = "".join(re.findall(rb"<Object_Base64Encoded>([^<]*)", file)[0].decode().split())
    assert base64.b64decode(payload["contentAttachment"]["data"]) == base64.b64decode(content)
    assert len(base64.b64decode(content)) == 4297
    assert part(payload, "identifier")["valueIdentifier"]["value"] == "urn:uuid:c39ea6b2-6052-45e4-a207-415e0205ab6f"
    assert not codes(outcome) & {"MAP040", "MAP041", "MAP048"}


def test_step_3_2_3_8_title_date_and_identifier_of_an_attachment(engine: Engine) -> None:
    outcome = bundle_of(FILES, engine)
    pdf, png, link = attachments(outcome)
    assert [p["contentAttachment"].get("title") for p in (pdf, png, link)] == [
        "Epikrise som fil",
        "Foto af sår",
        "Vejledning",
    ]
    assert {part(p, "datetime")["valueDateTime"] for p in (pdf, png, link)} == {"2026-03-28T10:15:00+01:00"}
    assert outcome.bundle is not None
    (provenance,) = [e["resource"] for e in outcome.bundle["entry"] if e["resource"]["resourceType"] == "Provenance"]
    sources = {entity["what"]["identifier"]["value"] for entity in provenance["entity"] if entity["role"] == "source"}
    assert {part(p, "identifier")["valueIdentifier"]["value"] for p in (pdf, png, link)} < sources
    assert link["contentAttachment"]["url"].startswith("https://")


def test_step_3_2_3_13_three_files_of_two_letters(engine: Engine) -> None:
    found = attachments(bundle_of(OF_TWO, engine))
    assert [p["contentAttachment"].get("contentType") for p in found] == [
        "application/pdf",
        "image/tiff",
        "image/jpeg",
        None,
    ]
    assert all("data" in p["contentAttachment"] for p in found[:3])


def _many(number: int) -> tuple[bytes, list[bytes]]:
    """A letter that names so many objects, and letters that hold them, all in one and one each."""
    letter, files = of(FILES)
    (first,) = re.findall(rb"<Reference><RefDescription>Epikrise som fil.*?</Reference>", letter)
    (second,) = re.findall(rb"<Reference><RefDescription>Foto.*?</Reference>", letter)
    objects = re.findall(rb"<BinaryObject>.*?</BinaryObject>", files)
    bare, hyphens = b"a3c1e5f7091b2d3f4a5b6c7d8e9f0a1b", b"a3c1e5f7-091b-2d3f-4a5b-6c7d8e9f0a1b"
    each = [b"%02d" % n for n in range(number)]
    letter = letter.replace(second, b"").replace(first, b"".join(first.replace(bare, bare[:-2] + n) for n in each))
    held = [objects[0].replace(hyphens, hyphens[:-2] + n) for n in each]
    whole = files.replace(objects[1], b"").replace(objects[0], b"".join(held))
    return letter, [whole]


def test_step_3_2_3_15_more_than_ten_files_are_all_carried(engine: Engine) -> None:
    letter, files = _many(12)
    outcome = joined(engine, letter, *files)
    assert len([p for p in attachments(outcome) if "data" in p["contentAttachment"]]) == 12
    assert "MAP051" in codes(outcome)
    assert outcome.output is not None
    _, *split = engine.convert(outcome.output, to="oioxml")
    assert [o.letter.counts["BinaryObject"] for o in split if o.letter] == [12]


def test_step_3_2_4_2_a_letter_without_its_file_is_knowingly_incomplete(engine: Engine) -> None:
    letter, _ = of(FILES)
    outcome = joined(engine, letter)
    pdf, png, _ = attachments(outcome)
    assert pdf["contentAttachment"] == {"contentType": "application/pdf", "size": 125}
    assert not {"data", "title"} & png["contentAttachment"].keys()
    assert part(pdf, "datetime")
    assert part(pdf, "identifier")
    assert outcome.fault == "C91-23"


def test_step_3_2_4_6_only_the_ordered_findings_are_tolerated(engine: Engine) -> None:
    outcome = joined(engine, of(FILES)[0])
    assert not [i.message for i in outcome.issues if i.severity == "error"]
    assert [i.severity for i in outcome.issues if i.code == "PRO023"] == ["info", "info"]
    # The same finding about a message that came as it is stays an error.
    assert outcome.output is not None
    again = next(iter(engine.convert(outcome.output, to="oioxml")))
    assert [str(i.severity) for i in again.issues if i.code == "PRO023"] == ["error", "error"]


def test_step_3_2_5_1_a_file_without_a_letter_is_not_converted(shared: Path, engine: Engine) -> None:
    for name in ("edifact/BIN01_synthetic.edi", "xml/BIN01_synthetic.xml"):
        (outcome,) = engine.convert((shared / "samples/medcom-2014" / name).read_bytes(), name=name)
        assert (outcome.output, outcome.is_partner, outcome.joined) == (None, True, False)
        assert codes(outcome) == {"MAP041"}


def test_step_3_2_6_3_and_8_a_kind_outside_the_six_is_carried_and_told(engine: Engine) -> None:
    outcome = bundle_of(FOREIGN, engine)
    (first, _) = attachments(outcome)
    assert first["contentAttachment"]["contentType"] == "text/plain"
    assert {"data", "title"} <= first["contentAttachment"].keys()
    assert [str(i.severity) for i in outcome.issues if i.code == "PRO029"] == ["info"]


def refusal(header: str, text: str) -> bytes:
    """An Acknowledgement that refuses the message with this MessageHeader."""
    bundle = json.loads((FIXTURES / "bundles/CTL02/code-of-medcom/message.json").read_text())
    by_type = {e["resource"]["resourceType"]: e["resource"] for e in bundle["entry"]}
    by_type["MessageHeader"]["response"]["identifier"] = header
    by_type["OperationOutcome"]["issue"][0]["details"] = {"text": text}
    return json.dumps(bundle).encode()


def refused(folder: Path, letters: tuple[bytes, ...], text: str) -> list[Outcome]:
    """The receipts of a letter and its attachments whose Bundle was refused with a text, by a state store."""
    with State(folder / "state.db", NOW) as state:
        engine = Engine(directory=DIRECTORY, store=state)
        sent = joined(engine, *letters)
        state.add(sent)
        return list(engine.convert(refusal(sent.message, text), to="oioxml", name="refusal"))


def test_step_s1_a4_a_refusal_for_a_foreign_kind_gets_the_sentence_on_both_receipts(tmp_path: Path) -> None:
    """UC table 5, P6 / S1.A4: the receiver's text and the sentence, on the receipts of the letter and of its file."""
    receipts = refused(tmp_path, of(FOREIGN), "Filtypen kan ikke vises.")
    assert [o.type for o in receipts] == ["CTL02", "CTL02"]
    named = [o.letter.text("OriginalEmessage.OriginalLetter[1].OriginalVersionCode") for o in receipts if o.letter]
    assert named == ["XD9134L", "XB0131X"]
    for outcome in receipts:
        assert outcome.letter is not None
        text = outcome.letter.text("OriginalEmessage.RefuseText") or ""
        assert text.startswith("Filtypen kan ikke vises.")
        assert text.count(SENTENCE) == 1


def test_a_refusal_of_a_message_with_permitted_files_gets_no_sentence(tmp_path: Path) -> None:
    """UC table 3, line 2: nothing is added to an ordinary refusal."""
    receipts = refused(tmp_path, of(FILES), "Modtager kendes ikke.")
    texts = [o.letter.text("OriginalEmessage.RefuseText") or "" for o in receipts if o.letter]
    assert [text.strip() for text in texts] == ["Modtager kendes ikke."] * 2


def test_step_3_2_6_2_a_kind_that_is_not_permitted_is_noticed_with_or_without_validation(
    engine: Engine, organisations: Any
) -> None:
    for one in (engine, Engine(directory=organisations, validate=False)):
        assert codes(joined(one, *of(FOREIGN))) == {"MAP054"}
        assert joined(one, *of(FOREIGN)).fault == "MAP054"
        assert joined(one, *of(FILES)).fault == ""
    # MedCom's list is that of its CareCommunication; a referral is a draft of ours, which has none.
    referral = [data.replace(b">pdf<", b">txt<") for data in of(FIXTURES / "letters/REF01/files")]
    assert all(b">txt<" in data for data in referral)
    assert "MAP054" not in codes(joined(engine, *referral))


CC_03 = "samples/conversion-service/ConSer_CC_03_attachment.json"


def test_step_3_2_8_4_to_7_a_care_communication_with_a_file_makes_two_letters(shared: Path, engine: Engine) -> None:
    letter, file = engine.convert((shared / CC_03).read_bytes(), to="oioxml", name="cc")
    assert letter.letter is not None
    assert file.letter is not None
    named, held = letter.letter.values, file.letter.values
    identifier = str(held["BinaryObject[1].ObjectIdentifier"])
    assert named["Reference[1].BIN.ObjectIdentifier"] == identifier.replace("-", "")
    assert len(identifier) == 36
    for leaf, value in (("ObjectCode", "billede"), ("ObjectExtensionCode", "png"), ("OriginalObjectSize", "10334")):
        assert named[f"Reference[1].BIN.{leaf}"] == held[f"BinaryObject[1].{leaf}"] == value
    assert named["Reference[1].RefDescription"] == "madpyramiden"
    assert {named[k] != held[k] for k in ("Envelope.Identifier", "Letter.Identifier")} == {True}
    assert held["Letter.VersionCode"] == "XB0131X"
    assert held["Envelope.AcknowledgementCode"] == "pluspositivkvitt"
    assert not [i.message for i in (*letter.issues, *file.issues) if i.severity == "error" and i.code.startswith("LTR")]
    assert "MAP050" in codes(file), "the bytes are those of another kind of picture"


def test_step_3_2_8_8_both_letters_name_the_sender_by_its_sor_id(shared: Path, engine: Engine) -> None:
    letter, file = engine.convert((shared / CC_03).read_bytes(), to="oioxml", name="cc")
    for outcome in (letter, file):
        assert outcome.letter is not None
        assert outcome.letter.values["Sender.IdentifierCode"] == "sorkode"


def test_step_3_2_8_10_two_envelopes_with_ids_of_their_own(shared: Path, tmp_path: Path) -> None:
    run("convert", shared / CC_03, "--envelope", "-o", tmp_path / "out")
    texts = [path.read_text() for path in sorted((tmp_path / "out").glob("*.xml"))]
    names = {re.findall(r"<(?:\w+:)?Name[^>]*>([^<]*)", text)[0] for text in texts}
    assert names == {"MCM:XDIS91", "MCM:XBIN01"}
    ids = [re.findall(r"<(?:\w+:)?(?:Envelope)?Identifier[^>]*>([^<]*)", text) for text in texts]
    assert len({one for found in ids for one in found}) == sum(len(found) for found in ids)


def test_step_3_2_8_18_eleven_files_make_two_letters_with_objects(shared: Path, engine: Engine) -> None:
    path = shared / "samples/conversion-service/ConSer_CC_05_TooManyAttachments.json"
    letter, *files = engine.convert(path.read_bytes(), to="oioxml", name="cc")
    assert [o.letter.counts["BinaryObject"] for o in files if o.letter] == [10, 1]
    assert len({o.letter.values["Letter.Identifier"] for o in files if o.letter}) == 2
    assert "MAP051" in codes(letter)


@pytest.mark.parametrize("to", ["oioxml", "edifact"])
def test_step_3_2_8_19_eleven_references_are_one_error_and_nothing_is_left_out(
    shared: Path, engine: Engine, tmp_path: Path, to: str
) -> None:
    """The schema has at most ten; all eleven are written, read, joined and written again (SC-8, AT-5)."""
    path = shared / "samples/conversion-service/ConSer_CC_05_TooManyAttachments.json"
    whole = list(engine.convert(path.read_bytes(), to=to, name="cc"))
    assert [[i.code for i in o.issues if i.severity == "error"] for o in whole] == [["LTR011"], [], []]
    written = [outcome.output or b"" for outcome in whole]
    for number, data in enumerate(written):
        (tmp_path / f"{number}.{to}").write_bytes(data)
        done = run("validate", tmp_path / f"{number}.{to}", "--format", "json")
        errors = [(f["code"], f["path"]) for f in json.loads(done.stdout) if f["severity"] == "error"]
        assert (done.exit_code, errors) == ((0, []) if number else (1, [("LTR011", "Reference")]))
    assert whole[0].letter is not None
    assert whole[0].letter.counts["Reference"] == 11
    forward = joined(engine, *written)
    assert [i.code for i in forward.issues if i.severity == "error"] == ["LTR011"]
    assert sum("data" in p["contentAttachment"] for p in attachments(forward)) == 11
    assert [o.output for o in engine.convert(forward.output or b"", to=to, name="cc")] == written


def test_step_3_2_9_12_a_file_without_content_is_a_line_and_no_letter(shared: Path, engine: Engine) -> None:
    path = shared / "samples/conversion-service/ConSer_CC_09_reply.json"
    (letter,) = engine.convert(path.read_bytes(), to="oioxml", name="cc")
    assert letter.letter is not None
    assert not letter.letter.counts.get("Reference")


def test_fhir_born_files_come_back_from_their_letters(shared: Path, engine: Engine) -> None:
    """back(forward(back(t))) == back(t): what the letters say once, they say again."""
    letter, *files = engine.convert((shared / CC_03).read_bytes(), to="oioxml", name="cc")
    forward = joined(engine, letter.output or b"", *(o.output or b"" for o in files))
    assert forward.output is not None
    again = list(engine.convert(forward.output, to="oioxml"))
    assert [o.output for o in again] == [letter.output, *(o.output for o in files)]


def test_attachments_of_referrals_are_letters_of_their_own_type(engine: Engine) -> None:
    """A FHIR-born referral writes XBIN02, and its letter and that letter are joined again."""
    bundle = json.loads((FIXTURES / "letters/REF01/files/bundle.json").read_text())
    del bundle["identifier"]
    letter, file = engine.convert(json.dumps(bundle).encode(), to="oioxml", name="referral")
    assert (file.type, file.version) == ("BIN02", "B0210X")
    outcome = joined(engine, letter.output or b"", file.output or b"")
    assert not codes(outcome)
    assert len(outcome.partners) == 1


# -- size --------------------------------------------------------------------------------------------------------------

MEASURE = """
import base64, resource, sys, time
from pathlib import Path
from converter.engine import Engine
engine, folder = Engine(), Path(sys.argv[1])
list(engine.convert((folder / "small.edi").read_bytes()))
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
data = (folder / "files.edi").read_bytes()
partners = engine.partners([(data, "files.edi")])
(outcome,) = engine.convert((folder / "letter.edi").read_bytes(), partners=partners)
print(len(outcome.output), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.process_time() - start)
"""


def large(folder: Path, size: int) -> None:
    """A letter with one file of that size."""
    letter, files = of(FILES, "edi")
    content = b"%PDF-1.4\n" + bytes(range(256)) * (size // 256)
    content = content[:size]
    (folder / "small.edi").write_bytes(letter)
    (folder / "letter.edi").write_bytes(letter.replace(b":125'", b":%d'" % size))
    start = files.index(b":A'", files.index(b"UNO+1")) + 3
    end = files.index(b"UNP+")
    files = (files[:start] + content + files[end:]).replace(b"91+125:", b"91+%d:" % size)
    (folder / "files.edi").write_bytes(files.replace(b"UNP+125+1", b"UNP+%d+1" % size))


@pytest.mark.long
def test_a_file_of_100_mb_is_joined_in_bounded_memory(tmp_path: Path) -> None:
    large(tmp_path, 100_000_000)
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    size, kilobytes, _ = map(float, done.stdout.split())
    assert size > 133_000_000
    assert kilobytes * 1024 < 1_000_000_000
