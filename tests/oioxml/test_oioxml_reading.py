"""OIOXML to letters: values, ids, places; and what happens to everything that a definition does not foresee."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from converter import oioxml
from converter.issues import IssueLog, Severity
from converter.letter import Extra, Letter, counts_of
from tests.oioxml.made import (
    ADDITIONAL,
    DEFINITIONS,
    ENVELOPE,
    HEAD,
    LETTER,
    NAMESPACE,
    PATIENT,
    ROOT,
    TEXT,
    emessage,
    letter_with,
    read_all,
    read_clean,
    read_one,
)

PLAIN = read_clean(emessage())


def extras(letter: Letter) -> dict[str, str]:
    return {extra.path: extra.value for extra in letter.extras}


def test_values_have_the_names_and_the_order_of_the_document() -> None:
    assert (PLAIN.type, PLAIN.version, PLAIN.syntax, PLAIN.refused) == ("DIS91", "D9134L", "oioxml", False)
    assert list(PLAIN.values)[:5] == [
        "Envelope.Sent.Date",
        "Envelope.Sent.Time",
        "Envelope.Identifier",
        "Envelope.AcknowledgementCode",
        "Letter.Identifier",
    ]
    assert PLAIN.values["Letter.VersionCode"] == "XD9134L"
    assert PLAIN.values["Patient.PersonGivenName"] == "Åse"
    assert PLAIN.values["ClinicalInformation[1].Text01"] == (("P00", "Mødt til kontrol.\n"),)
    assert PLAIN.counts == counts_of(PLAIN.values) == {"ClinicalInformation": 1}


def test_every_value_has_a_line_and_a_path() -> None:
    letter = read_clean(emessage(ENVELOPE + "\n" + LETTER.replace("<Patient>", "\n\n<Patient>\n")))
    (at,) = letter.locate("Patient.CivilRegistrationNumber")
    assert (at.file, at.line, at.column) == ("brev.xml", 6, 1)
    assert at.path == "/Emessage/ClinicalEmail/Patient/CivilRegistrationNumber"
    assert [p.path for p in letter.locate("ClinicalInformation[1].Text01")] == [
        "/Emessage/ClinicalEmail/ClinicalInformation[1]/Text01"
    ]
    assert [p.path for p in letter.locate("Envelope.Sent.Date")] == ["/Emessage/Envelope/Sent/Date"]
    assert letter.locate("Patient.OccupancyText") == ()
    assert set(letter.places) == set(letter.values)


def test_lines_beyond_65535_are_right() -> None:
    letter = read_clean(emessage("\n" * 70_000 + ENVELOPE + LETTER))
    assert letter.locate("Letter.Identifier")[0].line == 70_002


def test_a_letter_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    "data",
    [
        emessage(encoding="UTF-8"),
        emessage(encoding="windows-1252"),
        emessage(encoding="UTF-16"),
        b"\xef\xbb\xbf" + emessage(encoding="UTF-8"),
        emessage(encoding="UTF-8").partition(b"\n")[2],
        emessage((ENVELOPE + LETTER).replace("><", ">\n\t  <").replace("Break/>\n\t  <", "Break/><")),
        emessage((ENVELOPE + LETTER).replace("><", ">\r\n<")),
        emessage(start="<!-- en <Emessage> i en kommentar --><?xml-stylesheet href='file:///x.xsl'?>\n"),
        emessage((ENVELOPE + LETTER).replace("<", "<m:").replace("<m:/", "</m:"))
        .replace(b"<Em", b"<m:Em")
        # the root's own tags and declaration
        .replace(b"xmlns=", b"xmlns:m=")
        .replace(b"</Em", b"</m:Em"),
        emessage().replace(
            b"<Emessage ",
            b'<Emessage xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" test="1 > 0" '
            b'xsi:schemaLocation="http://rep.oio.dk/ http://127.0.0.1:1/x.xsd" ',
        ),
        emessage().replace(b"<ClinicalEmail>", b'<ClinicalEmail xml:base="file:///etc/" xml:space="preserve">'),
        emessage().replace(b"BREV1", b"<![CDATA[BR]]>EV1"),
        emessage().replace(b"<ClinicalEmail>", b"<ClinicalEmail>\n <!-- V -->\n <?x y?>"),
        emessage().replace(b"BREV1", b"&#66;REV&#x31;"),
    ],
    ids=[
        "utf-8",
        "windows-1252",
        "utf-16",
        "utf-8 with mark",
        "no declaration",
        "indented",
        "crlf",
        "comment and instruction first",
        "prefix",
        "attributes on the root",
        "xml attributes",
        "cdata inside a value",
        "comment and instruction between elements",
        "character references",
    ],
)
def test_another_way_to_write_the_same_letter(data: bytes) -> None:
    letter = read_clean(data)
    assert letter.values == PLAIN.values
    assert letter.counts == PLAIN.counts
    assert letter.extras == []


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"BREV<!-- V -->1", 1),
        (b"<![CDATA[BR]]><!-- V -->E<?x y?>V1", 2),
        (b"\n <!-- V -->BREV1", 1),
        (b"BREV1<?x y?>", 1),
        (b"<![CDATA[BREV]]><!-- V --><![CDATA[1]]>", 1),
        (b"<![CDATA[]]>BREV1<!-- V -->\n", 1),
    ],
)
def test_a_comment_in_a_value_is_told_and_cuts_nothing(written: bytes, number: int) -> None:
    (letter,), log = read_all(emessage().replace(b"BREV1", written))
    assert letter.values == PLAIN.values
    (issue,) = log
    assert (issue.code, issue.message.split()[0]) == ("XML013", str(number))


def test_what_looks_like_a_comment_in_a_value_is_none() -> None:
    """Negative control: in a section of character data it is text."""
    letter, codes = read_one(emessage().replace(b"BREV1", b"<![CDATA[<!-- V -->]]>"))
    assert letter.values["Letter.Identifier"] == "<!-- V -->"
    assert "XML013" not in codes


def test_blanks_in_a_plain_value_are_data_and_line_ends_are_layout() -> None:
    for content, value in {
        "Kontrol ": "Kontrol ",
        "  Kontrol": "  Kontrol",
        "a  b": "a  b",
        "\n\t\tKontrol\n\t": "Kontrol",
        "Kontrol \n  af": "Kontrol af",
        "Kontrol&#9;af": "Kontrol af",
        " ": " ",
        "\n": "",
        "": "",
        "\u00a0x\u00a0": "\u00a0x\u00a0",
    }.items():
        letter = read_clean(letter_with("<Subject>Kontrol</Subject>", f"<Subject>{content}</Subject>"))
        assert letter.values["AdditionalInformation.Subject"] == value


def test_repeats_are_counted_and_empty_groups_do_not_count() -> None:
    second = "<ClinicalInformation><Text01>To</Text01></ClinicalInformation>"
    letter, codes = read_one(letter_with(TEXT, TEXT + "<ClinicalInformation/>" + second))
    assert letter.counts == {"ClinicalInformation": 2}
    assert letter.values["ClinicalInformation[2].Text01"] == (("P00", "To"),)
    assert codes == ["XML038"]


def test_an_empty_text_is_there_and_empty() -> None:
    letter = read_clean(letter_with("Mødt til kontrol.<Break/>", ""))
    assert letter.values["ClinicalInformation[1].Text01"] == ()


def test_a_choice_in_a_repeating_group() -> None:
    size = "<OriginalObjectSize>4</OriginalObjectSize>"
    first = "<Reference><RefDescription>Foto</RefDescription><BIN><ObjectIdentifier>a1</ObjectIdentifier>"
    first += f"<ObjectCode>billede</ObjectCode><ObjectExtensionCode>png</ObjectExtensionCode>{size}</BIN></Reference>"
    second = "<Reference><RefDescription>Side</RefDescription><URL>http://a.dk/?a=b</URL></Reference>"
    letter = read_clean(letter_with(TEXT, TEXT + first + second))
    assert letter.values["Reference[1].BIN.ObjectIdentifier"] == "a1"
    assert letter.values["Reference[2].URL"] == "http://a.dk/?a=b"
    assert letter.counts["Reference"] == 2


# --- what a definition does not foresee -----------------------------------------------------------------------------


def check_kept(data: bytes, code: str, kept: dict[str, str], line: int = 2) -> Letter:
    letter, codes = read_one(data)
    assert codes == [code]
    assert extras(letter) == kept
    (issue,) = read_all(data)[1]
    assert (issue.at.file, issue.at.line, issue.at.column) == ("brev.xml", line, 1)
    assert issue.at.path.startswith("/Emessage")
    for value in kept.values():
        assert not value or value not in issue.message
    return letter


def test_an_unknown_element_is_reported_and_kept() -> None:
    data = letter_with(PATIENT, PATIENT.replace("<PersonGivenName>", "\n<Nickname>Lille Å</Nickname><PersonGivenName>"))
    letter = check_kept(data, "XML030", {"Patient.Nickname": "Lille Å"}, line=3)
    assert letter.values == PLAIN.values
    assert read_all(data)[1].issues[0].at.path == "/Emessage/ClinicalEmail/Patient/Nickname"


def test_an_unknown_group_is_kept_piece_by_piece() -> None:
    inside = "<Plan><Day>mandag</Day>i<Place><Room>4</Room></Place>dag<Note>a<Break/>b</Note><Empty/></Plan>"
    letter = check_kept(
        letter_with(TEXT, TEXT.replace("</Cl", inside + "</Cl")),
        "XML030",
        {
            "ClinicalInformation[1].Plan": "i dag",
            "ClinicalInformation[1].Plan.Day": "mandag",
            "ClinicalInformation[1].Plan.Place.Room": "4",
            "ClinicalInformation[1].Plan.Note": "a\nb",
            "ClinicalInformation[1].Plan.Empty": "",
        },
    )
    assert letter.values == PLAIN.values


def test_a_known_element_in_another_namespace_is_unknown() -> None:
    data = letter_with("<Subject>Kontrol</Subject>", '<Subject xmlns="urn:andre">Kontrol</Subject>')
    letter = check_kept(data, "XML030", {"AdditionalInformation.Subject": "Kontrol"})
    assert "AdditionalInformation.Subject" not in letter.values


def test_an_element_out_of_order_is_read_and_reported() -> None:
    data = letter_with(ADDITIONAL + TEXT, TEXT + ADDITIONAL)
    letter = check_kept(data, "XML031", {})
    assert letter.values == PLAIN.values
    assert "AdditionalInformation" in read_all(data)[1].issues[0].message


def test_order_is_judged_against_the_last_in_order_only() -> None:
    """Negative control: two elements in order after a stray one are not reported as well."""
    name, given = "<PersonSurnameName>Prøve</PersonSurnameName>", "<PersonGivenName>Åse</PersonGivenName>"
    _, codes = read_one(letter_with(name + given, given + name))
    assert codes == ["XML031"]


@pytest.mark.parametrize(
    ("once", "again", "kept"),
    [
        (ADDITIONAL, ADDITIONAL.replace("Kontrol", "Andet"), {"AdditionalInformation.Subject": "Andet"}),
        ("Kontrol</Subject>", "Kontrol</Subject><Subject>B</Subject>", {"AdditionalInformation.Subject": "B"}),
        ("kontrol.<Break/></Text01>", "kontrol.<Break/></Text01><Text01>B<Break/>C</Text01>", {}),
    ],
    ids=["group", "leaf", "text"],
)
def test_a_repeated_element_counts_once(once: str, again: str, kept: dict[str, str]) -> None:
    kept = kept or {"ClinicalInformation[1].Text01": "B\nC"}
    data = letter_with(once, once + again if once == ADDITIONAL else again)
    assert check_kept(data, "XML032", kept).values == PLAIN.values


def test_an_attribute_is_reported_and_kept() -> None:
    data = letter_with("<Subject>", '<Subject lang="da" empty="">')
    assert check_kept(data, "XML033", {"AdditionalInformation.Subject@lang": "da"}).values == PLAIN.values
    nil = letter_with("<Subject>", '<Subject xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil = "true">')
    check_kept(nil, "XML033", {"AdditionalInformation.Subject@nil": "true"})
    envelope = letter_with("<Envelope>", "<Envelope id='7'>")
    check_kept(envelope, "XML033", {"Envelope@id": "7"})


def test_text_between_elements_is_reported_and_kept() -> None:
    data = letter_with(PATIENT, PATIENT.replace("<Patient>", "<Patient>12").replace("</Patient>", "34</Patient>"))
    letter, codes = read_one(data)
    assert codes == ["XML034", "XML034"]
    assert [(e.path, e.value) for e in letter.extras] == [("Patient", "12"), ("Patient", "34")]
    assert letter.values == PLAIN.values
    check_kept(letter_with("</Envelope>", "</Envelope>løs"), "XML034", {"": "løs"})


def test_elements_in_a_plain_value_are_reported_and_all_text_is_read() -> None:
    data = letter_with("Kontrol</Subject>", "Kon<b>tr</b>ol<Break/>nu</Subject>")
    letter = check_kept(data, "XML035", {})
    assert letter.values["AdditionalInformation.Subject"] == "Kontrol nu"


def test_a_second_envelope_and_a_late_one() -> None:
    letter, codes = read_one(emessage(ENVELOPE + ENVELOPE.replace("KUVERT1", "KUVERT2") + LETTER))
    assert codes == ["XML032"]
    assert letter.values == PLAIN.values
    assert extras(letter)["Envelope.Identifier"] == "KUVERT2"
    late, codes = read_one(emessage(LETTER + ENVELOPE))
    assert codes == ["XML031"]
    assert late.values == PLAIN.values
    none, codes = read_one(emessage(LETTER))
    assert codes == []
    assert none.values == {k: v for k, v in PLAIN.values.items() if not k.startswith("Envelope")}


def test_many_findings_of_one_kind_become_one_with_a_count() -> None:
    letters, log = read_all(letter_with(TEXT, TEXT + "<Ukendt>a</Ukendt>" * 200))
    assert len(letters[0].extras) == 200
    assert sum(issue.count for issue in log) == 200
    assert len(log) < 60


# --- several letters, and letters that nobody knows -----------------------------------------------------------------


def test_letters_of_one_emessage_share_the_envelope() -> None:
    data = emessage(ENVELOPE + LETTER + LETTER.replace("BREV1", "BREV2"))
    first, second = read_all(data)[0]
    assert first.values == PLAIN.values
    assert second.values == PLAIN.values | {"Letter.Identifier": "BREV2"}
    assert len(read_all(data)[1]) == 0
    assert second.locate("Envelope.Identifier")


def test_faults_of_the_envelope_are_reported_once() -> None:
    letters, log = read_all(emessage(ENVELOPE.replace("<Sent>", "<Sendt>nu</Sendt><Sent>") + LETTER + LETTER))
    assert [issue.code for issue in log] == ["XML030"]
    assert [len(letter.extras) for letter in letters] == [1, 0]


def test_findings_come_with_their_letter() -> None:
    bad = LETTER.replace("<Subject>", "<Ukendt>x</Ukendt><Subject>")
    log = IssueLog()
    counts = []
    for _ in oioxml.read(emessage(ENVELOPE + LETTER + bad + LETTER), DEFINITIONS, log):
        counts.append(len(log.drain()))
    assert counts == [0, 1, 0]


def test_a_letter_without_definition_is_refused_and_the_others_are_not() -> None:
    strange = "<NewEmail>" + HEAD.replace("XD9134L", "XD9999L").replace("XDIS91", "XDIS99") + "</NewEmail>"
    letters, log = read_all(emessage(ENVELOPE + LETTER + strange + LETTER))
    assert [letter.refused for letter in letters] == [False, True, False]
    refused = letters[1]
    assert (refused.type, refused.version, refused.values, refused.extras) == ("DIS99", "D9999L", {}, [])
    (issue,) = log
    assert (issue.code, issue.kind.name, issue.severity) == ("LTR001", "no-definition", Severity.ERROR)
    assert "NewEmail XD9999L" in issue.message
    assert issue.at.path == "/Emessage/NewEmail"


def test_an_unknown_version_of_a_known_letter_is_refused() -> None:
    letter, codes = read_one(letter_with("XD9134L", "XD0000L"))
    assert codes == ["LTR001"]
    assert (letter.refused, letter.version) == (True, "D0000L")
    missing, codes = read_one(letter_with("<VersionCode>XD9134L</VersionCode>", ""))
    assert codes == ["LTR001"]
    assert missing.refused


def test_names_that_look_like_no_code_are_not_shown() -> None:
    letter, _ = read_one(letter_with("XD9134L", "Hr. Prøve"))
    (issue,) = read_all(letter_with("XD9134L", "Hr. Prøve"))[1]
    assert "Prøve" not in issue.message
    assert letter.version == ""
    wild = f"<Prøve_2512489996>{BODY_OF_A_LETTER}</Prøve_2512489996>"
    (issue,) = read_all(emessage(ENVELOPE + wild))[1]
    assert "Prøve" not in issue.message + issue.at.path


@pytest.mark.parametrize(
    ("name", "visible"),
    [("Text01", True), ("Object_Base64Encoded", True), ("A25124899", False), ("P" * 60, False), ("Søren", False)],
)
def test_which_element_names_are_shown(name: str, visible: bool) -> None:
    (issue,) = read_all(letter_with("</Patient>", f"<{name}/></Patient>"))[1]
    assert (name in issue.message) is visible
    assert (name in issue.at.path) is visible


BODY_OF_A_LETTER = LETTER.removeprefix("<ClinicalEmail>").removesuffix("</ClinicalEmail>")


@pytest.mark.parametrize(
    ("data", "code", "path"),
    [
        (emessage().replace(b"Emessage", b"Emesage"), "XML020", "/Emesage"),
        (
            LETTER.replace("<ClinicalEmail>", f'<ClinicalEmail xmlns="{NAMESPACE}">').encode(),
            "XML020",
            "/ClinicalEmail",
        ),
        (emessage().replace(NAMESPACE.encode(), b"urn:noget-andet"), "XML021", "/Emessage"),
        (emessage().replace(NAMESPACE.encode(), b"http://rep.oio.dk/sundcom.dk/medcom.dk/xml/schemas/"), "XML021", "/"),
        (emessage().replace(b' xmlns="' + NAMESPACE.encode() + b'"', b""), "XML021", "/Emessage"),
        (emessage(ENVELOPE), "XML022", "/Emessage"),
        (emessage(""), "XML022", "/Emessage"),
    ],
)
def test_a_document_that_is_no_emessage_gives_no_letter(data: bytes, code: str, path: str) -> None:
    letters, log = read_all(data)
    assert letters == []
    (issue,) = log
    assert issue.code == code
    assert issue.at.path.startswith(path)


def test_letters_in_another_namespace() -> None:
    foreign = LETTER.replace("<ClinicalEmail>", '<ClinicalEmail xmlns="urn:andet">')
    letter, codes = read_one(emessage(ENVELOPE + foreign))
    assert (letter.refused, codes) == (True, ["XML021"])
    older = NAMESPACE.replace("2006/07/01", "2005/08/07")
    content = LETTER.replace("XD9134L", "XD9133L").replace(ADDITIONAL, "")
    mixed = content.replace("<ClinicalEmail>", f'<ClinicalEmail xmlns="{older}">')
    letter, codes = read_one(emessage(ENVELOPE + mixed))
    assert codes == ["XML023"]
    assert (letter.version, letter.values["Envelope.Identifier"]) == ("D9133L", "KUVERT1")


# --- sniffing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "ours"),
    [
        (emessage(), True),
        (emessage(encoding="UTF-16"), True),
        (b"\xef\xbb\xbf\r\n" + emessage(encoding="UTF-8"), True),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><Emessage/>", True),
        (emessage(start="<!--" + " " * 20_000 + "-->"), True),
        (LETTER.replace("<ClinicalEmail>", f'<ClinicalEmail xmlns="{NAMESPACE}">').encode(), True),
        (b"", False),
        (b"UNA:+.? 'UNB+UNOC:3+A+B'", False),
        (b'{"resourceType": "Bundle", "x": "<Emessage>"}', False),
        (b"<html><body>Hej</body></html>", False),
        (b'<Bundle xmlns="http://hl7.org/fhir"/>', False),
        (b"Emessage", False),
    ],
)
def test_sniff(data: bytes, ours: bool) -> None:
    assert oioxml.sniff(data) is ours


@pytest.mark.parametrize(
    "path", sorted((ROOT / "fixtures" / "letters").glob("*/*/message.xml")), ids=lambda path: path.parent.name
)
def test_every_case_is_read_and_written_without_a_difference(path: Path) -> None:
    from tests.cases import canonical

    data = path.read_bytes()
    letter = read_clean(data)
    again = oioxml.write([letter], DEFINITIONS, IssueLog())
    assert again is not None
    assert canonical(again) == canonical(data)


# --- third-party samples --------------------------------------------------------------------------------------------


def test_the_official_pair_is_read_and_written_without_a_difference(shared: Path) -> None:
    from tests.cases import canonical

    data = (shared / "samples" / "medcom-2014" / "xml" / "DIS91_1.xml").read_bytes()
    letter = read_clean(data)
    assert len(letter.values) == 36
    again = oioxml.write([letter], DEFINITIONS, IssueLog())
    assert again is not None
    assert canonical(again) == canonical(data)


def test_field_samples_are_read(shared: Path) -> None:
    samples = shared / "samples"
    paths = [*sorted((samples / "field").glob("*.xml")), samples / "medcom-2014" / "korr_x9134.xml"]
    paths.append(samples / "conversion-service" / "Flow1-XDIS91_Ex_to_FHIR.xml")
    codes = {}
    for path in paths:
        letters, log = read_all(path.read_bytes())
        assert len(letters) == 1, path
        codes[path.name] = [issue.code for issue in log]
        assert letters[0].extras == []
        if not letters[0].refused:
            assert oioxml.write(letters, DEFINITIONS, IssueLog())
    receipt = codes.pop("os2korr-negative_receipt.xml")
    assert receipt in ([], ["LTR001"])
    assert codes.pop("os2korr-escaped_formatted_text.xml") == ["XML037"]
    assert set(map(tuple, codes.values())) == {()}
    assert len(codes) == 4


def test_formatted_text_of_the_field(shared: Path) -> None:
    letter = read_clean((shared / "samples" / "field" / "os2korr-formattet_text.xml").read_bytes())
    runs = letter.values["ClinicalInformation[1].Text01"]
    assert [code for code, _ in runs] == ["F00", "P00", "PU0", "P00", "PK0", "P00", "P0H", "P00", "P0M"]
    assert runs[1:4] == (("P00", " "), ("PU0", "Afdeling A"), ("P00", "\n"))
    second = letter.text("ClinicalInformation[2].Text01")
    assert second is not None
    assert second.startswith("<Teste>")


def test_extras_have_places() -> None:
    letter, _ = read_one(letter_with(PATIENT, "\n<Ny>x</Ny>" + PATIENT))
    (extra,) = letter.extras
    assert isinstance(extra, Extra)
    assert (extra.at.file, extra.at.line) == ("brev.xml", 3)
