"""Letters to OIOXML: order, constants, versions, what has no place, and what the bytes look like."""

from __future__ import annotations

import pytest

from converter import oioxml
from converter.issues import IssueLog
from converter.letter import Letter, Value
from tests.oioxml.made import DEFINITIONS, ENVELOPE, LETTER, NAMESPACE, emessage, read_all, read_clean, written

BASE = read_clean(emessage())


def changed(values: dict[str, Value] | None = None, *, without: tuple[str, ...] = ()) -> Letter:
    kept = {k: v for k, v in BASE.values.items() if not k.startswith(without)} if without else dict(BASE.values)
    return Letter(BASE.type, BASE.version, "oioxml", kept | (values or {}), dict(BASE.counts))


def refused(letters: list[Letter], **kwargs: str) -> list[str]:
    log = IssueLog()
    assert oioxml.write(letters, DEFINITIONS, log, **kwargs) is None
    return [issue.code for issue in log]


def test_the_plain_letter_comes_back_byte_for_byte() -> None:
    assert written(BASE) == emessage()


def test_the_form_of_the_bytes() -> None:
    data = written(changed({"AdditionalInformation.Subject": "5 € – \u201cnu\u201d"}))
    assert data.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>\n<Emessage xmlns="' + NAMESPACE.encode())
    assert "L\u00e6gerne".encode("iso-8859-1") in data
    assert b"<Subject>5 &#8364; &#8211; &#8220;nu&#8221;</Subject>" in data
    assert data.count(b"xmlns") == 1
    assert data.count(b"\n") == 1
    assert not data.endswith(b"\n")


def test_elements_stand_in_the_order_of_the_definition() -> None:
    shuffled = Letter(BASE.type, BASE.version, "fhir", dict(reversed(BASE.values.items())), dict(BASE.counts))
    assert written(shuffled) == emessage()


def test_counts_may_be_left_out() -> None:
    assert written(Letter(BASE.type, BASE.version, "fhir", dict(BASE.values))) == emessage()


def test_absent_constants_are_written_and_present_ones_stay() -> None:
    bare = changed(without=("Letter.VersionCode", "Letter.TypeCode", "Letter.StatisticalCode"))
    assert written(bare) == emessage()
    odd = written(changed({"Letter.StatisticalCode": "DIS91"}))
    assert b"<StatisticalCode>DIS91</StatisticalCode>" in odd


def test_constants_alone_make_no_group() -> None:
    letter = changed(without=("Letter.",))
    assert b"<Letter>" not in written(letter)


def test_an_empty_value_is_an_empty_element() -> None:
    data = written(changed({"AdditionalInformation.Subject": "", "ClinicalInformation[1].Text01": ()}))
    assert b"<Subject></Subject>" in data
    assert b"<Text01></Text01>" in data
    assert read_clean(data).values["AdditionalInformation.Subject"] == ""


def test_a_plain_value_with_line_ends_is_reported() -> None:
    log = IssueLog()
    data = oioxml.write([changed({"AdditionalInformation.Subject": "a\nb\tc\x01"})], DEFINITIONS, log)
    assert data is not None
    assert b"<Subject>a b c&#65533;</Subject>" in data
    assert [issue.code for issue in log] == ["XML061", "XML060"]


def test_a_value_without_an_element_is_reported() -> None:
    log = IssueLog()
    odd = changed({"Patient.Nickname": "Lille", "ClinicalInformation[1].Text07": "x", "Sender[2].Identifier": "1"})
    data = oioxml.write([odd], DEFINITIONS, log)
    assert data == emessage()
    assert [(issue.code, issue.at.path) for issue in log] == [
        ("XML052", "Patient.Nickname"),
        ("XML052", "ClinicalInformation[1].Text07"),
        ("XML052", "Sender[2].Identifier"),
    ]


def test_another_version() -> None:
    log = IssueLog()
    data = oioxml.write([BASE], DEFINITIONS, log, version="D9133L")
    assert data is not None
    assert b"2005/08/07" in data
    assert b"<VersionCode>XD9133L</VersionCode>" in data
    assert [(issue.code, issue.target) for issue in log] == [("XML052", "AdditionalInformation.Subject")]
    (again,) = read_all(data)[0]
    assert again.version == "D9133L"
    assert again.values == {k: v for k, v in BASE.values.items() if not k.startswith("AdditionalInformation")} | {
        "Letter.VersionCode": "XD9133L"
    }


def test_several_letters_share_an_emessage() -> None:
    data = emessage(ENVELOPE + LETTER + LETTER.replace("BREV1", "BREV2"))
    letters, _ = read_all(data)
    log = IssueLog()
    assert oioxml.write(letters, DEFINITIONS, log) == data
    assert len(log) == 0


def test_letters_that_cannot_share_an_emessage() -> None:
    assert refused([BASE, changed({"Envelope.Identifier": "KUVERT2"})]) == ["XML051"]
    older = changed(without=("AdditionalInformation",))
    older.version = "D9133L"
    assert refused([BASE, older]) == ["XML051"]


def test_a_refused_letter_among_others_is_named() -> None:
    log = IssueLog()
    data = oioxml.write([BASE, Letter("DIS91", "D9134L", "oioxml", refused=True)], DEFINITIONS, log)
    assert data == emessage()
    assert [issue.code for issue in log] == ["XML053"]


def test_findings_stand_where_the_value_was_read() -> None:
    letter = read_clean(emessage("\n\n" + ENVELOPE + LETTER))
    letter.values["AdditionalInformation.Subject"] = "a\x01"
    log = IssueLog()
    oioxml.write([letter], DEFINITIONS, log)
    (issue,) = log
    assert (issue.at.file, issue.at.line, issue.target) == ("brev.xml", 4, "AdditionalInformation.Subject")


def test_what_cannot_be_written() -> None:
    assert refused([]) == ["XML050"]
    assert refused([Letter("DIS91", "D9134L", "oioxml", refused=True)]) == ["XML050"]
    assert refused([BASE], version="D0000L") == ["LTR001"]
    assert refused([Letter("DIS99", "D9999L", "oioxml", {"Letter.Identifier": "1"})]) == ["LTR001"]


@pytest.mark.parametrize("text", ["Ø½", "Ã¸", "\u00c3\u00b8 og ø", "Â¡", "\x80\x9f"])
def test_bytes_never_look_like_another_encoding(text: str) -> None:
    """Latin-1 for these characters is UTF-8 for others, or windows-1252, to a reader that compares label and bytes."""
    bare = changed({"Receiver.OrganisationName": text}, without=("Patient", "ClinicalInformation"))
    data = written(bare)
    assert read_clean(data).values["Receiver.OrganisationName"] == text


def test_text_may_be_given_as_characters() -> None:
    letter = changed({"ClinicalInformation[1].Text01": "a\nb"})
    assert read_clean(written(letter)).values["ClinicalInformation[1].Text01"] == (("P00", "a\nb"),)
    odd = changed({"AdditionalInformation.Subject": (("PF0", "a"), ("P00", "b"))})
    assert read_clean(written(odd)).values["AdditionalInformation.Subject"] == "ab"
