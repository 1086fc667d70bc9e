"""Receipts: which are written for what, what they say, and how they and attachments are paired in a corpus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.engine import Engine
from converter.errors import MappingError
from converter.flows import load_table
from converter.letter import Letter
from tests.cases import FIXTURES
from tests.edifact.made_letter import LETTER

ENGINE = Engine()
PLAIN = FIXTURES / "letters" / "DIS91" / "plain"
SENT = ("--sent", "2026-11-23T10:00:00")


def run(command: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [command, *map(str, arguments)], catch_exceptions=False)


def receipts(tmp_path: Path, data: bytes, *options: str, name: str = "message.edi") -> dict[str, Letter]:
    """The receipts that are written for some bytes, by file name."""
    source, folder = tmp_path / name, tmp_path / "receipts"
    source.write_bytes(data)
    run("validate", source, "--receipts", folder, *SENT, *options)
    return {path.name: read(path.read_bytes()) for path in sorted(folder.glob("*"))}


def read(data: bytes) -> Letter:
    (outcome,) = ENGINE.validate(data, name="receipt")
    assert [issue.code for issue in outcome.issues if issue.severity == "error"] == []
    assert outcome.letter is not None
    return outcome.letter


def letter(old: str = "", new: str = "") -> bytes:
    assert old in LETTER
    return LETTER.replace(old, new).encode("latin-1")


def test_positive_receipt_only_for_who_asks(tmp_path: Path) -> None:
    (found,) = receipts(tmp_path, letter()).items()
    assert found[0] == "message.edi.CTL03.edi"
    values = found[1].values
    assert values["Sender.EANIdentifier"] == "5790000121526"
    assert values["Receiver.EANIdentifier"] == "5790000120314"
    assert values["OriginalEmessage.OriginalEnvelopeIdentifier"] == "KUV1"
    assert values["OriginalEmessage.OriginalLetter[1].OriginalLetterIdentifier"] == "BREV1"
    assert values["OriginalEmessage.OriginalLetter[1].OriginalVersionCode"] == "D9134L"
    assert (values["Envelope.Sent.Date"], values["Envelope.Sent.Time"]) == ("2026-11-23", "10:00")


def test_who_does_not_ask_gets_a_refusal_only(tmp_path: Path) -> None:
    assert receipts(tmp_path, letter("KUV1++++1'", "KUV1++++0'")) == {}
    unasked = letter("KUV1++++1'", "KUV1++++0'").replace(b"UNZ+1+", b"UNZ+2+")
    (found,) = receipts(tmp_path, unasked).values()
    assert found.type == "CTL02"
    assert "EDI035" in (found.text("OriginalEmessage.OriginalLetter[1].RefuseText") or "")


@pytest.mark.parametrize(
    ("old", "new", "code", "reason"),
    [
        ("UNT+37", "UNT+36", "syntaksfejl", "EDI035 UNT"),
        ("D9134L+DIS91'", "D9199L+DIS91'", "problem_med_version", "LTR001 UNH"),
        ("NAD+SSP", "NAD+SORT", "syntaksfejl", "EDI101 NAD"),
    ],
)
def test_refusal_says_why(tmp_path: Path, old: str, new: str, code: str, reason: str) -> None:
    ((name, found),) = receipts(tmp_path, letter(old, new)).items()
    assert name == "message.edi.CTL02.edi"
    assert found.values["OriginalEmessage.OriginalLetter[1].RefuseCode"] == code
    text = found.text("OriginalEmessage.OriginalLetter[1].RefuseText") or ""
    assert text.startswith(reason)
    for value in ("Ida", "0201609995", "SORT"):
        assert value not in text


def test_operator_refuses_with_a_receipt_of_its_own(tmp_path: Path) -> None:
    assert [one.type for one in receipts(tmp_path, letter("UNT+37", "UNT+36"), "--as-operator").values()] == ["CTL01"]


def test_oioxml_is_answered_in_oioxml(tmp_path: Path) -> None:
    data = (PLAIN / "message.xml").read_bytes().replace(b"minuspositivkvitt", b"pluspositivkvitt")
    ((name, found),) = receipts(tmp_path, data, name="message.xml").items()
    assert (name, found.syntax) == ("message.xml.CTL03.xml", "oioxml")
    version = found.text("OriginalEmessage.OriginalLetter[1].OriginalVersionCode") or ""
    assert version.startswith("XD91")
    unknown = re.sub(rb"<VersionCode>XD91..L", b"<VersionCode>XD9199L", data)
    refused = receipts(tmp_path, unknown, "--force", name="unknown.xml")["unknown.xml.CTL02.xml"]
    assert refused.values["OriginalEmessage.OriginalLetter[1].RefuseCode"] == "problem_med_version"
    same = "OriginalEmessage.OriginalLetter[1].OriginalLetterIdentifier"
    assert refused.values[same] == found.values[same]


def test_several_letters_of_an_interchange_share_a_receipt(tmp_path: Path) -> None:
    body = LETTER[LETTER.index("UNH+") : LETTER.index("UNZ+")]
    second = body.replace("BREV1", "BREV2")
    data = LETTER.replace(body, body + second).replace("UNZ+1", "UNZ+2").encode("latin-1")
    (found,) = receipts(tmp_path, data).values()
    assert found.counts["OriginalEmessage.OriginalLetter"] == 2


def test_receipts_and_messages_without_ids_get_none(tmp_path: Path) -> None:
    (first,) = receipts(tmp_path, letter())
    assert receipts(tmp_path / "receipts", (tmp_path / "receipts" / first).read_bytes()) == {}
    source = tmp_path / "nameless.edi"
    source.write_bytes(letter("UNB+UNOC:3+5790000120314:14", "UNB+UNOC:3+"))
    done = run("validate", source, "--receipts", tmp_path / "none", *SENT)
    assert "FLW012" in done.stdout
    assert not (tmp_path / "none").exists()


def test_second_run_writes_the_same_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    receipts(tmp_path, letter())
    before = (tmp_path / "receipts" / "message.edi.CTL03.edi").read_bytes()
    again = run("validate", tmp_path / "message.edi", "--receipts", tmp_path / "receipts", *SENT)
    assert again.exit_code != 0
    run("validate", tmp_path / "message.edi", "--receipts", tmp_path / "receipts", *SENT, "--force")
    assert (tmp_path / "receipts" / "message.edi.CTL03.edi").read_bytes() == before


def test_flows_pair_receipts_with_their_messages(tmp_path: Path) -> None:
    receipts(tmp_path, letter())
    assert "FLW011" not in run("flows", tmp_path).stdout
    (tmp_path / "message.edi").unlink()
    done = run("flows", tmp_path)
    assert "FLW011" in done.stdout
    assert "of them 1 receipts" in done.stdout


def test_flows_pair_attachments_with_their_letters(tmp_path: Path) -> None:
    (tmp_path / "object.edi").write_bytes((FIXTURES / "legacy" / "BIN01" / "admitted" / "message.edi").read_bytes())
    name = "6fb927da3be14b9f8875a6326617d20b"
    (tmp_path / "letter.edi").write_bytes(letter(name, name[::-1]))
    assert "FLW010" in run("flows", tmp_path).stdout
    (tmp_path / "letter.edi").write_bytes(letter())
    assert "FLW010" not in run("flows", tmp_path).stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("positive: CTL03@C0330Q", "positive: CTL03"),
        ("most: 99", "most: many"),
        ("  holds: BinaryObject.ObjectIdentifier", "  hold: x"),
        ("  wanted: {Envelope.AcknowledgementCode: pluspositivkvitt}", "  wanted: yes"),
        ("types: [CTL01, CTL02, CTL03]", "types: [CTL01, CTL02, CTL99]"),
    ],
)
def test_faults_of_the_table_are_found(tmp_path: Path, old: str, new: str) -> None:
    text = (ENGINE.folder / "flows.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "flows.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(MappingError):
        load_table(path, ENGINE.definitions.leaves)
