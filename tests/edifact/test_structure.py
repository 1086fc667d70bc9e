"""Segments <-> letters: the official sample exactly, laws on made letters, and what becomes of damaged ones."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings

from converter import edifact
from converter.definitions import Definition
from converter.edifact.envelope import read_messages
from converter.edifact.structure import Compiled, compiled
from converter.issues import IssueLog, Severity
from converter.letter import Letter, counts_of
from converter.limits import Limits
from tests.edifact.made_letter import DEFINITIONS, LETTER, LOOKS_ODD, SEGMENTS, SLOW, codes, joined, read, replaced
from tests.letters_strategy import letters, normal_form

WIRED = [d for d in DEFINITIONS if d.edifact]
NEWEST = {d.type: max(e.version for e in WIRED if e.type == d.type) for d in WIRED}
# Versions of a type have most of their layout in common: the short laws try the newest, the long ones all.
NEW = [d for d in WIRED if NEWEST[d.type] == d.version]
BY_VERSION = pytest.mark.parametrize("definition", WIRED, ids=lambda d: f"{d.type}-{d.version}")
LAW = pytest.mark.parametrize(
    ("definition", "examples"),
    [
        *(pytest.param(d, 2, id=f"2-{d.type}-{d.version}") for d in NEW),
        *(pytest.param(d, 300, id=f"300-{d.type}-{d.version}", marks=pytest.mark.long) for d in WIRED),
    ],
)

REFUSED = {"LTR054", "LTR055", "LTR062", "LTR063"}
"""Why a letter that the schema allows may have no EDIFACT form."""
NOT_AS_IT_WAS = {"LTR051", "LTR056", "LTR061"}
"""What the writer says where the letter does not come back as it was: the differences of the normal form."""


# -- reading


def test_made_letter_reads_to_its_values() -> None:
    letter, log = read(joined(SEGMENTS, counted=False))
    assert codes(log) == []
    assert letter.extras == []
    assert letter.counts == {"ClinicalInformation": 2, "Reference": 3}
    assert letter.values == {
        "Envelope.Sent.Date": "2023-11-20",
        "Envelope.Sent.Time": "17:45",
        "Envelope.Identifier": "KUV1",
        "Envelope.AcknowledgementCode": "pluspositivkvitt",
        "Letter.Identifier": "BREV1",
        "Letter.VersionCode": "XD9134L",
        "Letter.StatisticalCode": "XDIS91",
        "Letter.Authorisation.Date": "2023-11-20",
        "Letter.Authorisation.Time": "17:44",
        "Letter.TypeCode": "XDIS91",
        "Letter.StatusCode": "nytbrev",
        "Letter.EpisodeOfCareIdentifier": "0123456789abcdef0123456789abcdef",
        "Sender.EANIdentifier": "5790000120314",
        "Sender.Identifier": "1234567",
        "Sender.IdentifierCode": "sygehusafdelingsnummer",
        "Sender.OrganisationName": "Sygehus Syd",
        "Sender.DepartmentName": "Medicinsk afdeling",
        "Sender.StreetName": "Vej 1",
        "Sender.DistrictName": "Byen",
        "Sender.PostCodeIdentifier": "4000",
        "Sender.TelephoneSubscriberIdentifier": "55550101",
        "Sender.MedicalSpecialityCode": "infektionsmedicin",
        "Receiver.EANIdentifier": "5790000121526",
        "Receiver.Identifier": "123456",
        "Receiver.IdentifierCode": "ydernummer",
        "Receiver.OrganisationName": "Lægehuset",
        "Patient.CivilRegistrationNumber": "0201609995",
        "Patient.PersonSurnameName": "Sønderup",
        "Patient.PersonGivenName": "Ida",
        "Patient.StreetName": "Gaden 2",
        "Patient.DistrictName": "Landsbyen",
        "Patient.PostCodeIdentifier": "4001",
        "Patient.OccupancyText": "Smed",
        "Patient.EpisodeOfCareStatusCode": "ambulant",
        "AdditionalInformation.Priority": "rutine",
        "AdditionalInformation.Subject": "Om næste besøg",
        "ClinicalInformation[1].Text01": (
            ("P00", "Kære kollega,\n\nPatienten er set i dag.\n"),
            ("PF0", "Vigtigt\n"),
        ),
        "ClinicalInformation[2].Text01": (("P00", "En anden tekst\n"),),
        "Reference[1].RefDescription": "Billede",
        "Reference[1].BIN.ObjectIdentifier": "6fb927da3be14b9f8875a6326617d20b",
        "Reference[1].BIN.ObjectCode": "billede",
        "Reference[1].BIN.ObjectExtensionCode": "jpeg",
        "Reference[1].BIN.OriginalObjectSize": "123",
        "Reference[2].RefDescription": "Vejledning",
        "Reference[2].URL": "https://example.invalid/a",
        "Reference[3].RefDescription": "Papir",
        "Reference[3].SUP": "true",
    }


def test_every_leaf_is_located_where_it_stands() -> None:
    data = LETTER.encode("latin-1")
    letter, log = read(data)
    assert codes(log) == []
    lines = data.decode("latin-1").split("\n")
    for leaf, value in letter.values.items():
        if leaf == "Letter.StatisticalCode":  # stands nowhere on the wire
            assert letter.locate(leaf) == ()
            continue
        places = letter.locate(leaf)
        assert places, leaf
        for at in places:
            assert at.file == "letter.edi"
            assert lines[at.line - 1].startswith(at.segment)
        if isinstance(value, str) and value in ("Sønderup", "KUV1", "Vej 1", "Smed", "Papir"):
            assert lines[places[0].line - 1][places[0].column - 1 :].startswith(value)
    assert [at.line for at in letter.locate("ClinicalInformation[1].Text01")] == [31, 32]
    assert [(at.element, at.component) for at in letter.locate("Sender.IdentifierCode")] == [(2, 2), (2, 3)]


def test_official_sample_reads_exactly_and_writes_the_same_bytes(shared: Path) -> None:
    data = (shared / "samples/medcom-2014/edifact/DIS91_1.edi").read_bytes()
    letter, log = read(data)
    assert codes(log) == []
    assert len(letter.values) == 36
    assert letter.values["AdditionalInformation.Priority"] == "høj_prioritet"
    assert letter.values["Sender.MedicalSpecialityCode"] == "kirurgi_sygehus"
    (run,) = letter.values["ClinicalInformation[1].Text01"]
    assert run[0] == "P00"
    assert run[1].count("\n") == 11
    assert "undersøgelser foretaget:\nRøntgen" in run[1]
    assert edifact.write([letter], DEFINITIONS, log) == data.replace(b"\n", b"")


def test_other_types_are_refused_by_name(shared: Path) -> None:
    for name, kind in (("DIS91_3", "DIS90 D9034L"), ("CTL01_1", "CTL01 C0130Q"), ("DIS20_1", "DIS20 D2030C")):
        letter, log = read((shared / f"samples/medcom-2014/edifact/{name}.edi").read_bytes())
        if not letter.refused:  # defined by now
            continue
        (issue,) = log
        assert (issue.code, issue.at.segment) == ("LTR001", "UNH")
        assert kind in issue.message
        assert letter.values == {}


def test_type_that_is_no_name_is_not_shown() -> None:
    letter, log = read(replaced("D9134L+DIS91'", "D9134L+IDA HANSEN'"))
    assert letter.refused
    assert letter.type == ""
    assert all("IDA" not in i.message for i in log)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("BGM+EPI++9+NA", "BGM+EPI++8+NA", [("EDI101", "error")]),
        ("BGM+EPI++9+NA", "BGM+EPI++9", [("EDI101", "warning")]),
        ("BGM+EPI++9+NA", "BGM+EPI+x:y+9+NA", [("EDI100", "error"), ("EDI100", "error")]),
        ("BGM+EPI++9+NA", "BGM+EPI++9+NA:x", [("EDI100", "error")]),
        ("SEQ++2", "SEQ++3", [("EDI103", "warning")]),
        ("SEQ++2", "SEQ+x+2", [("EDI100", "error")]),
        ("RFF+SRI:BREV1", "RFF+SRI:BREV2", [("EDI102", "error")]),
        ("RFF+SRI:BREV1", "RFF+SRI", [("EDI102", "warning")]),
        ("DTM+182:202311201744:203", "DTM+182:202311201745:203", [("EDI102", "error")]),
        ("GIS+N'", "GIS+N'", []),
        ("PAS+HA", "PAS+ZZ", [("EDI104", "error")]),
        ("NAD+SSP+1234567:SKS:SST", "NAD+SSP+1234567:XXX:SST", [("EDI104", "error")]),
        ("NAD+SSP+1234567:SKS:SST", "NAD+SSP+1234567:SKS:SFU", [("EDI101", "error")]),
        ("NAD+SSP+1234567:SKS:SST", "NAD+SSP+5790000120314", [("EDI101", "warning")]),
        ("DTM+137:202311201744", "DTM+137:20231120174", [("EDI105", "error"), ("EDI102", "error")]),
        ("PNA+PAT+0201609995:::CPR:IM", "PNA+PAT+0201609995", [("EDI101", "warning"), ("EDI101", "warning")]),
        ("EMP+1++:::Smed", "EMP+1++:::Smed:mere+endnu", [("EDI100", "error"), ("EDI100", "error")]),
        ("FTX+NC+PF0++Vigtigt", "FTX+NC+XYZ++Vigtigt", [("EDI106", "warning")]),
        ("FTX+NC+PF0++Vigtigt", "FTX+NC+PF0++Vigtigt\\", [("EDI109", "warning")]),
        ("FTX+NC+PF0++Vigtigt", "FTX+NC+PF0++" + "x" * 71, [("EDI107", "error")]),
        ("FTX+NC+PF0++Vigtigt", "FTX+NC+PF0++a:b:c:d:e:f", [("EDI108", "error")]),
        ("FTX+NC+PF0++Vigtigt", "FTX+NC+PF0+1+Vigtigt+DA", [("EDI100", "error"), ("EDI100", "error")]),
        ("FTX+OE+P00++Om næste besøg", "FTX+OE+P00++Om:næste besøg", [("EDI100", "error")]),
        (":IMG:JPG:123", ":XXX:JPG:123", [("EDI104", "error")]),
        ("S02+02", "S02+03", [("EDI101", "error")]),
        ("S02+02", "S02+02+x", [("EDI100", "error")]),
    ],
)
def test_every_deviation_has_its_issue(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    if old == new:
        return
    letter, log = read(replaced(old, new))
    assert sorted((i.code, str(i.severity)) for i in log) == sorted(expected)
    assert all(i.at.line and i.at.segment for i in log)
    assert not letter.refused


def test_unknown_codes_and_dates_stay_as_they_are_and_go_back() -> None:
    for old, new, leaf, value in (
        ("PAS+HA", "PAS+ZZ", "Patient.EpisodeOfCareStatusCode", "ZZ"),
        ("1234567:SKS:SST", "1234567:XXX:YYY", "Sender.IdentifierCode", "XXX:YYY"),
        ("SPR+ORG+5:", "SPR+ORG+4711:", "Sender.MedicalSpecialityCode", "4711"),
    ):
        data = replaced(old, new)
        letter, log = read(data)
        assert letter.values[leaf] == value
        again = edifact.write([letter], DEFINITIONS, log)
        assert again is not None
        assert read(again)[0].values == letter.values
        assert new.encode() in again


def test_gln_codes_read_in_all_spellings() -> None:
    for code in (":9", "EAN:9", ""):
        letter, _ = read(replaced("1234567:SKS:SST", f"5790000120314:{code}"))
        assert letter.values["Sender.IdentifierCode"] == "lokationsnummer"
    letter, _ = read(replaced("NAD+SSP+1234567:SKS:SST", "NAD+SSP+"))
    assert "Sender.IdentifierCode" not in letter.values


def test_leaves_that_nobody_expects_are_extras() -> None:
    letter, log = read(replaced("RFF+NO:NC'", "RFF+NO:NC'RFF+ZZZ:hemmelig'"))
    assert codes(log) == ["EDI120"]
    assert [e.value for e in letter.extras] == ["ZZZ", "hemmelig"]
    assert all("hemmelig" not in i.message for i in log)
    assert letter.values["AdditionalInformation.Priority"] == "rutine"


def test_text_beyond_the_limit_refuses_the_letter() -> None:
    log = IssueLog()
    (letter,) = edifact.read(joined(SEGMENTS), DEFINITIONS, log, limits=Limits(text=20))
    assert "EDI111" in codes(log)
    assert letter.refused
    assert letter.values == {}


def test_too_many_texts_and_references_are_read_and_reported() -> None:
    many = "".join(f"FTX+NC+P00++linje {n}'" for n in range(10))
    letter, log = read(replaced("FTX+NC+P00++En anden tekst'", many))
    assert codes(log) == ["EDI110"]
    assert letter.text("ClinicalInformation[2].Text01") == "".join(f"linje {n}\n" for n in range(10))
    many = "".join("S14+14'" + "".join(f"FTX+SUP+P00++papir {n}'" for n in range(3)) for _ in range(3))
    letter, log = read(replaced("FTX+SUP+P00++Papir'", many))
    assert codes(log) == ["EDI113"]
    assert letter.counts["Reference"] == 11


def test_reference_lines_go_on_in_the_next_group() -> None:
    group = "FTX+SUP+P00++a'" * 7
    first = "FTX+URL+P00++b:x\\:y\\:z\\:v\\'"
    letter, log = read(replaced("FTX+SUP+P00++Papir'", f"{group}S14+14'{first}S14+14'FTX+URL+P00++w'"))
    assert "Reference[10].URL" in letter.values
    assert letter.values["Reference[10].URL"] == "xyzvw"
    assert codes(log) == ["EDI113"]


def test_same_findings_are_counted_beyond_a_hundred() -> None:
    _, log = read(replaced("EMP+1++:::Smed", "EMP+1++:::Smed" + "+x" * 500))
    assert codes(log).count("EDI100") == 100
    assert codes(log)[-1] == "EDI112"


def test_too_many_strange_values_refuse_the_letter() -> None:
    letter, log = read(replaced("EMP+1++:::Smed'", "ABC+x'" * 6000))
    assert letter.refused
    assert "EDI114" in codes(log)
    assert (letter.values, letter.extras) == ({}, [])


# -- laws


@LAW
def test_reading_what_was_written_gives_the_normal_form_in_both_readers(definition: Definition, examples: int) -> None:
    @settings(SLOW, max_examples=examples)
    @given(letters(definition))
    def law(letter: Letter) -> None:
        log = IssueLog()
        definition.check(letter, log)
        assert codes(log) == []
        written = edifact.write([letter], DEFINITIONS, log)
        if written is None:
            assert {i.code for i in log if i.severity is Severity.ERROR} <= REFUSED | NOT_AS_IT_WAS
            return
        assert {i.code for i in log} <= NOT_AS_IT_WAS
        again, found = read(written)
        assert set(codes(found)) <= LOOKS_ODD
        assert again.values == normal_form(definition, letter)
        assert again.counts == counts_of(again.values)
        assert edifact.write([again], DEFINITIONS, found) == written
        both_readers_agree(definition, written, again)

    law()


def both_readers_agree(definition: Definition, written: bytes, strict: Letter) -> None:
    """What the strict reader reads, the other one reads alike after the arranger has looked at it."""
    log = IssueLog()
    refusing = Compiled(definition)
    refusing.in_order = lambda *_: -1
    arranged = Letter(definition.type, definition.version, "edifact")
    message = next(read_messages(written, log))
    assert message.interchange.header is not None
    segments = [message.interchange.header, *message.segments[:-1]]
    refusing.read(segments, arranged, log, Limits(), headless=False)
    assert set(codes(log)) <= LOOKS_ODD
    assert arranged.values == strict.values
    assert arranged.counts == strict.counts
    assert arranged.places == strict.places


@LAW
def test_any_characters_can_be_written(definition: Definition, examples: int) -> None:
    @settings(SLOW, max_examples=examples)
    @given(letters(definition, wide=True))
    def law(letter: Letter) -> None:
        log = IssueLog()
        written = edifact.write([letter], DEFINITIONS, log)
        assert all(i.code in {"LTR050", *NOT_AS_IT_WAS} or written is None for i in log)
        if written is None:
            return
        again, found = read(written)
        assert set(codes(found)) <= LOOKS_ODD
        assert edifact.write([again], DEFINITIONS, found) == written

    law()


# -- writing


def letter_of(**changes: object) -> Letter:
    letter, _ = read(joined(SEGMENTS))
    letter = Letter("DIS91", "D9134L", "oioxml", dict(letter.values))
    for leaf, value in changes.items():
        key = leaf.replace("__", ".").replace("_1", "[1]").replace("_2", "[2]")
        if value is None:
            letter.values.pop(key, None)
        else:
            letter.values[key] = value  # type: ignore[assignment]
    return letter


def written(letter: Letter, version: str | None = None) -> tuple[bytes | None, list[str]]:
    log = IssueLog()
    return edifact.write([letter], DEFINITIONS, log, version=version), codes(log)


def test_subject_without_text_has_a_group_of_its_own() -> None:
    letter = letter_of(ClinicalInformation_1__Text01=None, ClinicalInformation_2__Text01=None)
    data, found = written(letter)
    assert found == []
    assert data is not None
    assert b"S14+14'FTX+OE+P00++Om n\xe6ste bes\xf8g'S14+14'FTX+BIN" in data


def test_text_of_nine_segments_fits_and_of_ten_is_refused() -> None:
    for lines, subject, fits in ((45, None, True), (46, None, False), (40, "x", True), (41, "x", False)):
        text = (("P00", "linje\n" * lines),)
        letter = letter_of(ClinicalInformation_1__Text01=text, AdditionalInformation__Subject=subject)
        data, found = written(letter)
        assert (data is not None) == fits, (lines, subject)
        assert found == ([] if fits else ["LTR054"])


def test_references_spread_over_two_groups_and_no_more() -> None:
    letter = letter_of()
    for number in range(1, 11):
        letter.values[f"Reference[{number}].RefDescription"] = "bilag"
        letter.values[f"Reference[{number}].URL"] = "x" * 100
        for other in ("SUP", "BIN.ObjectIdentifier", "BIN.ObjectCode", "BIN.ObjectExtensionCode"):
            letter.values.pop(f"Reference[{number}].{other}", None)
        letter.values.pop(f"Reference[{number}].BIN.OriginalObjectSize", None)
    data, found = written(letter)
    assert found == []
    assert data is not None
    assert data.count(b"S14+14'") == 4
    for number in range(1, 11):
        letter.values[f"Reference[{number}].URL"] = "x" * 350
    data, found = written(letter)
    assert (data, found) == (None, ["LTR055"])


@pytest.mark.parametrize(
    ("changes", "expected", "refused"),
    [
        ({"Sender__OrganisationName": "“Syd” – 10⁴ €"}, ["LTR050"], False),
        ({"Receiver__OrganisationName": None}, ["LTR051"], False),
        ({"Sender__MedicalSpecialityCode": None}, ["LTR051"], False),
        ({"Sender__IdentifierCode": "amt"}, ["LTR052"], True),
        ({"Sender__MedicalSpecialityCode": "ukendt"}, ["LTR052"], True),
        ({"Letter__Authorisation__Date": "20. november"}, ["LTR053"], True),
        ({"Envelope__Sent__Date": "1985-01-01"}, ["LTR053"], True),
        ({"Patient__Hat": "rød"}, ["LTR056"], False),
        ({"ClinicalInformation__Text01": "rød"}, ["LTR056"], False),
        ({"Reference_2__SUP": "true"}, ["LTR059"], False),
        ({"Reference_2__URL": None}, ["LTR058"], False),
        ({"Letter__StatisticalCode": "XDIS99"}, ["LTR060"], False),
    ],
)
def test_every_fault_in_writing_has_its_issue(changes: dict[str, object], expected: list[str], refused: bool) -> None:
    data, found = written(letter_of(**changes))
    assert found == expected
    assert (data is None) == refused


def test_characters_are_spelled_out_and_never_a_question_mark() -> None:
    data, _ = written(letter_of(Sender__OrganisationName="“Syd” – 10⁴ € 😀"))
    assert data is not None
    assert b'++"Syd" - 10[U+2074] EUR [U+1F600]:' in data.replace(b"?+", b"+")


def test_what_marks_elements_inside_of_the_writer_is_a_character_like_others() -> None:
    marks = "a\x1fb\x1dc\x1ed"
    data, found = written(letter_of(Sender__OrganisationName=marks, ClinicalInformation_1__Text01=(("P00", marks),)))
    assert found == ["LTR050", "LTR050"]
    assert data is not None
    assert data.count(b"a[U?+001F]b[U?+001D]c[U?+001E]d") == 2


def test_another_version_leaves_out_what_it_has_not_and_says_so() -> None:
    data, found = written(letter_of(), version="D9133L")
    assert sorted(found) == ["LTR056", "LTR056"]
    assert data is not None
    letter, log = read(data)
    assert codes(log) == []
    assert (letter.version, letter.values["Letter.VersionCode"]) == ("D9133L", "XD9133L")
    assert written(letter_of(), version="D9135L") == (None, ["LTR057"])
    assert written(letter_of(), version="D9999L") == (None, ["LTR001"])
    refused = Letter("DIS91", "D9134L", "edifact", refused=True)
    assert written(refused) == (None, [])


def test_several_letters_have_an_interchange_each() -> None:
    log = IssueLog()
    data = edifact.write([letter_of(), letter_of(Letter__Identifier="BREV2")], DEFINITIONS, log)
    assert data is not None
    assert data.count(b"UNB+") == data.count(b"UNZ+") == 2
    assert [le.values["Letter.Identifier"] for le in edifact.read(data, DEFINITIONS, log)] == ["BREV1", "BREV2"]


def test_sniffing() -> None:
    assert edifact.sniff(joined(SEGMENTS))
    assert edifact.sniff(b"UNB+UNOC:3+")
    assert edifact.sniff(b"\r\n UNA:+.? '\r\nUNB+")
    for other in (b"", b"<?xml", b"{}", b"UNABRIDGED text"):
        assert not edifact.sniff(other)


@BY_VERSION
def test_generated_source_shows_in_tracebacks_and_names_its_templates(definition: Definition) -> None:
    source = compiled(definition).source
    assert "def read_in_order" in source
    assert "# UNH+" in source
    with pytest.raises(AttributeError) as caught:
        compiled(definition).in_order(["UNB+UNOC", "", ""], [None], None, {}, {}, {})  # type: ignore[list-item, arg-type]
    assert "S[i].elements" in "".join(traceback.format_exception(caught.value))
