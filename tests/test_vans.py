"""VANS envelopes: read in every command, compared with what is in them, written by `convert --envelope`."""

from __future__ import annotations

import random
import re
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from converter.cli import program
from converter.engine import Engine, Outcome
from converter.errors import MappingError
from converter.issues import IssueLog
from converter.limits import Limits
from converter.routes import Routes
from converter.sources import inputs
from converter.vans import Ids, check, read, sniff, wrapped
from converter.vans.envelope import NAMESPACE, UUID
from tests.cases import FIXTURES

LETTER = FIXTURES / "letters" / "DIS91" / "plain"
SENT = "2026-01-31T12:30:00"
TARGETS = ("fhir", "oioxml", "edifact")


def converted(engine: Engine, to: str) -> Outcome:
    source = LETTER / ("message.xml" if to == "edifact" else "message.edi")
    (outcome,) = engine.convert(source.read_bytes(), to=to, name="letter")
    return outcome


def enveloped(engine: Engine, to: str, attempt: int = 1) -> bytes:
    log = IssueLog()
    data = wrapped(converted(engine, to), engine.routes, log, sent=SENT, attempt=attempt)
    assert data is not None
    assert not len(log)
    return data


def codes(data: bytes, limits: Limits | None = None) -> list[str]:
    """What reading an envelope reports."""
    log = IssueLog()
    read(data, log, file="e.xml", limits=limits)
    return [issue.code for issue in log]


def compared(engine: Engine, data: bytes) -> list[str]:
    """What the comparison of an envelope with its messages reports."""
    envelope = read(data, IssueLog(), file="e.xml")
    assert envelope is not None
    found = []
    for number, outcome in enumerate(engine.validate(envelope.payload, name="e.xml/Data")):
        found += [issue.code for issue in check(envelope, outcome, engine.routes, first=number == 0)]
    return found


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [str(a) for a in arguments])


def swapped(data: bytes, element: str, text: str) -> bytes:
    """The envelope with another text in an element."""
    new, count = re.subn(rf"(<{element}[^>]*>)[^<]*(</{element}>)".encode(), rf"\g<1>{text}\g<2>".encode(), data)
    assert count
    return new


@pytest.mark.parametrize("to", TARGETS)
def test_what_is_written_reads_back_and_says_the_same_as_its_message(engine: Engine, to: str) -> None:
    data = enveloped(engine, to)
    assert sniff(data)
    assert codes(data) == []
    assert compared(engine, data) == []
    envelope = read(data, IssueLog())
    assert envelope is not None
    assert envelope.payload == converted(engine, to).output
    assert (envelope.sender.id, envelope.receiver.id) == ("5790000120314", "5790000121526")
    assert envelope.size == len(envelope.payload)
    assert UUID.match(envelope.id)
    assert UUID.match(envelope.message)


def test_documents_are_named_as_the_network_wants_it(engine: Engine) -> None:
    names = {}
    for to in TARGETS:
        envelope = read(enveloped(engine, to), IssueLog())
        assert envelope is not None
        names[to] = (envelope.format, envelope.name, envelope.version, envelope.mime)
    assert names == {
        "fhir": ("HL7", "MCM:FDIS91#other", "5.0", "application/fhir+json"),
        "oioxml": ("XML", "MCM:XDIS91", "XD9134L", ""),
        "edifact": ("EDIFACT", "MCM:DIS91", "D9134L", ""),
    }


def test_elements_stand_in_the_order_of_the_schema(engine: Engine) -> None:
    root = etree.fromstring(enveloped(engine, "fhir"))
    order = [str(e.tag).removeprefix(f"{{{NAMESPACE}}}") for e in root.iter()]
    assert order[:9] == [
        *("VANSEnvelope", "SenderID", "ReceiverID", "EnvelopeIdentifier", "SentDateTime", "Message"),
        *("MetaInformation", "Identifier", "Document"),
    ]
    assert order[9:] == [
        *("Format", "Name", "Version", "SizeInBytes", "Transport", "Type", "TransformMessage", "ServiceTag", "Data"),
    ]


@pytest.mark.parametrize("to", TARGETS)
def test_a_second_sending_has_a_new_envelope_id_and_the_same_message_id(engine: Engine, to: str) -> None:
    first, again, second = (read(enveloped(engine, to, n), IssueLog()) for n in (1, 1, 2))
    assert first is not None
    assert second is not None
    assert first == again
    assert first.id != second.id
    assert first.message == second.message


def test_any_bytes_come_back(engine: Engine) -> None:
    outcome = converted(engine, "oioxml")
    generator = random.Random(1)
    for _ in range(300):
        outcome.output = generator.randbytes(generator.randrange(1, 400))
        data = wrapped(outcome, engine.routes, IssueLog(), sent=SENT)
        assert data is not None
        envelope = read(data, IssueLog())
        assert envelope is not None
        assert envelope.payload == outcome.output


FAULTS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("no sender", "VAN001", lambda d: swapped(d, "SenderID", "")),
    ("a long sender", "VAN001", lambda d: swapped(d, "SenderID", "1" * 19)),
    ("an unknown kind of address", "VAN001", lambda d: d.replace(b'"EAN"', b'"GLN"', 1)),
    ("no date", "VAN001", lambda d: swapped(d, "SentDateTime", "yesterday")),
    ("an unknown format", "VAN001", lambda d: swapped(d, "Format", "FAX")),
    ("a size in words", "VAN001", lambda d: swapped(d, "SizeInBytes", "many")),
    ("an unknown element", "VAN001", lambda d: d.replace(b"<Format>", b"<Colour/><Format>")),
    ("an element twice", "VAN001", lambda d: d.replace(b"<Format>", b"<Name>x</Name><Format>")),
    ("another version", "VAN002", lambda d: d.replace(b":1.0.4", b":9.9.9")),
    ("no namespace", "VAN002", lambda d: d.replace(b" xmlns", b" title")),
    ("broken base64", "VAN003", lambda d: swapped(d, "Data", "AAAA=AAA")),
    ("letters that are not base64", "VAN003", lambda d: swapped(d, "Data", "!!!!")),
    ("no data", "VAN003", lambda d: swapped(d, "Data", "")),
    ("a wrong size", "VAN004", lambda d: swapped(d, "SizeInBytes", "7")),
    ("an id that is no UUID", "VAN007", lambda d: swapped(d, "EnvelopeIdentifier", "G" * 36)),
    ("a wrong check digit", "VAN008", lambda d: d.replace(b"5790000120314", b"5790000120315")),
    ("a wrong CVR number", "VAN008", lambda d: d.replace(b'"EAN">5790000120314', b'"CVR">26919990', 1)),
    ("a DOCTYPE", "XML003", lambda d: d.replace(b"<VANS", b"<!DOCTYPE VANSEnvelope><VANS", 1)),
    ("cut off", "XML002", lambda d: d[: len(d) // 2]),
]


@pytest.mark.parametrize(("code", "spoil"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faults_of_an_envelope(engine: Engine, code: str, spoil: Callable[[bytes], bytes]) -> None:
    good = enveloped(engine, "fhir")
    bad = spoil(good)
    assert bad != good
    assert code in codes(bad)


DIFFERENCES: list[tuple[str, str, str, Callable[[bytes], bytes]]] = [
    ("format", "oioxml", "VAN010", lambda d: swapped(d, "Format", "HL7")),
    ("name", "oioxml", "VAN011", lambda d: swapped(d, "Name", "MCM:XREF01")),
    ("category", "fhir", "VAN011", lambda d: swapped(d, "Name", "MCM:FDIS91#regarding-referral")),
    ("version", "edifact", "VAN012", lambda d: swapped(d, "Version", "D9133L")),
    ("version of FHIR", "fhir", "VAN012", lambda d: swapped(d, "Version", "1.0")),
    ("sender", "fhir", "VAN013", lambda d: swapped(d, "SenderID", "5790001382445")),
    ("receiver", "edifact", "VAN013", lambda d: swapped(d, "ReceiverID", "5790001382445")),
    ("message id", "fhir", "VAN014", lambda d: swapped(d, "Identifier", "0" * 8 + "-0000" * 3 + "-" + "0" * 12)),
    ("MIME", "fhir", "VAN015", lambda d: swapped(d, "ServiceTag", "application/fhir+xml")),
]


@pytest.mark.parametrize(("to", "code", "spoil"), [d[1:] for d in DIFFERENCES], ids=[d[0] for d in DIFFERENCES])
def test_an_envelope_that_says_something_else_than_its_message(
    engine: Engine, to: str, code: str, spoil: Callable[[bytes], bytes]
) -> None:
    assert compared(engine, spoil(enveloped(engine, to))) == [code]


def test_a_known_older_version_of_a_fhir_message_is_no_difference(engine: Engine) -> None:
    assert compared(engine, swapped(enveloped(engine, "fhir"), "Version", "4.0")) == []


def test_several_messages_in_an_envelope_are_found(engine: Engine) -> None:
    outcome = converted(engine, "edifact")
    one = outcome.output or b""
    head, rest = one.split(b"UNH", 1)
    body, tail = rest.split(b"UNZ", 1)
    outcome.output = head + b"UNH" + body + b"UNH" + body + b"UNZ" + tail.replace(b"1+", b"2+", 1)
    data = wrapped(outcome, engine.routes, IssueLog(), sent=SENT)
    assert data is not None
    assert compared(engine, data) == ["VAN016"]


def test_ids_that_come_again_are_judged_by_the_table_of_receivers(engine: Engine) -> None:
    data = enveloped(engine, "fhir")
    other = swapped(data, "EnvelopeIdentifier", "1" * 8 + "-1111" * 3 + "-" + "1" * 12)
    changed = swapped(data, "Identifier", "2" * 8 + "-2222" * 3 + "-" + "2" * 12)
    ids, log = Ids(), IssueLog()
    for one in (data, data, other, changed):
        envelope = read(one, IssueLog())
        assert envelope is not None
        ids.add(envelope, log)
    assert [issue.code for issue in log] == ["VAN017", "VAN019", "VAN018"]


def test_a_receipt_is_said_to_hold_no_message() -> None:
    receipt = f'<VANSEnvelope xmlns="{NAMESPACE}"><Receipt><PositiveMessage/></Receipt></VANSEnvelope>'.encode()
    assert codes(receipt) == ["VAN005"]


def test_a_message_without_a_name_or_an_address_gets_no_envelope(engine: Engine) -> None:
    outcome, log = converted(engine, "fhir"), IssueLog()
    assert outcome.bundle is not None
    outcome.bundle["entry"][0]["resource"]["sender"] = {"reference": "Organization/unknown"}
    assert wrapped(outcome, engine.routes, log, sent=SENT) is None
    outcome.bundle["meta"], outcome.bundle["entry"] = {}, []
    assert wrapped(outcome, engine.routes, log, sent=SENT) is None
    assert [issue.code for issue in log] == ["VAN021", "VAN020"]


@pytest.mark.parametrize(
    "limits", [Limits(message=200), Limits(xml_depth=1), Limits(xml_elements=5)], ids=["size", "depth", "elements"]
)
def test_ceilings_hold_for_envelopes(engine: Engine, limits: Limits) -> None:
    log = IssueLog()
    found = read(enveloped(engine, "fhir") + b" " * 11_000_000, log, limits=limits)
    assert found is None
    assert next(iter(log)).code in ("XML007", "XML008", "XML010")


def test_very_many_wrong_elements_are_one_finding() -> None:
    data = f'<VANSEnvelope xmlns="{NAMESPACE}">{"<A/>" * 50_000}{"<SenderID/>" * 20_000}</VANSEnvelope>'.encode()
    assert len(codes(data)) < 20


def test_mutants_never_raise(engine: Engine) -> None:
    data = enveloped(engine, "edifact")
    generator = random.Random(2)
    read_whole = 0
    for _ in range(1_000):
        mutant = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            place = generator.randrange(len(mutant))
            mutant[place : place + generator.randrange(3)] = generator.randbytes(generator.randrange(3))
        log = IssueLog()
        envelope = read(bytes(mutant), log)
        assert envelope is not None or len(log)
        read_whole += envelope is not None
    assert 0 < read_whole < 1_000


# In commands


def test_every_command_reads_envelopes(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    path.write_bytes(enveloped(engine, "edifact"))
    sor = ("--sor", FIXTURES / "organisations.csv")
    for command in (("convert", path, *sor), ("validate", path), ("explain", path, *sor), ("flows", path)):
        done = run(*command)
        assert done.exit_code == 0, done.output
    done = run("convert", path, "--to", "oioxml", "-o", tmp_path / "out.xml")
    assert (tmp_path / "out.xml").read_bytes() == converted(engine, "oioxml").output


def test_a_wrongly_addressed_envelope_fails_validation_at_its_line(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    path.write_bytes(swapped(enveloped(engine, "edifact"), "ReceiverID", "5790001382445"))
    done = run("validate", path)
    assert done.exit_code == 1
    assert f"{path}:4:1 VAN013 error" in done.output


def test_envelopes_in_archives_are_opened_and_those_in_envelopes_are_not(engine: Engine, tmp_path: Path) -> None:
    data = enveloped(engine, "fhir")
    outcome = converted(engine, "fhir")
    outcome.output = data
    nested = wrapped(outcome, engine.routes, IssueLog(), sent=SENT)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.xml", data)
        archive.writestr("two.xml", nested or b"")
    log = IssueLog()
    found = list(inputs([str(tmp_path / "a.zip")], log))
    assert [item.display for item in found] == [f"{tmp_path}/a.zip/one.xml/Data"]
    assert [item.name for item in found] == ["one.xml"]
    assert [issue.code for issue in log] == ["VAN006"]


def test_an_envelope_whose_content_is_no_message_is_a_finding(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "e.xml"
    path.write_bytes(swapped(enveloped(engine, "fhir"), "Data", b64encode(b"\x00 nothing").decode()))
    done = run("validate", tmp_path)
    assert done.exit_code == 1
    assert "SYS010" in done.output


@pytest.mark.parametrize("to", TARGETS)
def test_convert_writes_envelopes_and_reads_them_again(to: str, tmp_path: Path) -> None:
    source = LETTER / ("message.xml" if to == "edifact" else "message.edi")
    envelope, plain = tmp_path / "e.xml", tmp_path / ("p" + {"fhir": ".json", "oioxml": ".xml"}.get(to, ".edi"))
    sor = ("--sor", FIXTURES / "organisations.csv", "--to", to)
    assert run("convert", source, *sor, "--envelope", "--sent", SENT, "-o", envelope).exit_code == 0
    assert run("convert", source, *sor, "-o", plain).exit_code == 0
    found = read(envelope.read_bytes(), IssueLog())
    assert found is not None
    assert found.payload == plain.read_bytes()
    assert found.sent == SENT


# The table of names


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (("fhir_format: HL7", "fhir_format: [HL7]"), "fhir_format must be text"),
        (("key: [", "keys: ["), "unknown key keys"),
        (('name: "X{type}"', 'name: "X{typo}"'), "only {type} and {version}"),
        (("letters: [DIS20]", "letters: DIS20"), "letters must be a list"),
        (("  edifact:", "  edifakt:"), "no row edifact"),
        (("    event: care", "    events: care"), "FDIS91 has no event"),
    ],
)
def test_faults_of_the_table_of_names(root: Path, tmp_path: Path, spoil: tuple[str, str], wanted: str) -> None:
    text = (root / "mappings" / "routes.yaml").read_text(encoding="utf-8")
    assert spoil[0] in text
    path = tmp_path / "routes.yaml"
    path.write_text(text.replace(*spoil), encoding="utf-8")
    with pytest.raises(MappingError) as caught:
        Routes.load(path)
    assert any(wanted in issue.message for issue in caught.value.issues)
    assert {issue.code for issue in caught.value.issues} == {"LNT290"}
