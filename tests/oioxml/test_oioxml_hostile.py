"""Hostile documents: refused with a finding and a place, in less than a second, and nothing else is opened or fetched.

Each guard has a control: the same document on the harmless side of the limit is read.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml import etree

from converter import oioxml
from converter.issues import IssueLog
from converter.letter import Letter
from converter.limits import Limits
from converter.oioxml import document
from tests.oioxml.made import (
    DEFINITIONS,
    ENVELOPE,
    LETTER,
    NAMESPACE,
    emessage,
    letter_with,
    read_all,
    read_clean,
    read_one,
    text_document,
)

SECOND = 1.0
PLAIN = read_clean(emessage())


def refused(data: bytes, code: str, limits: Limits | None = None) -> IssueLog:
    """The document gives this finding first, no usable letter, and that quickly."""
    start = time.process_time()
    letters, log = read_all(data, limits)
    elapsed = time.process_time() - start
    assert log.issues[0].code == code, [issue.code for issue in log]
    assert all(letter.refused and not letter.values and not letter.extras for letter in letters)
    assert all(issue.at.file == "brev.xml" for issue in log)
    assert elapsed < SECOND
    return log


# --- DOCTYPE, entities, external references -------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
DOCTYPES = {
    "bare": "<!DOCTYPE Emessage>",
    "external": '<!DOCTYPE Emessage SYSTEM "{url}/x.dtd">',
    "public": '<!DOCTYPE Emessage PUBLIC "-//x//y" "{url}/x.dtd">',
    "file": '<!DOCTYPE Emessage [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "http": '<!DOCTYPE Emessage [<!ENTITY l11 SYSTEM "{url}/x">]>',
    "parameter": '<!DOCTYPE Emessage [<!ENTITY % p SYSTEM "{url}/x"> %p; <!ENTITY l11 "x">]>',
    "laughs": f'<!DOCTYPE Emessage [<!ENTITY l0 "ha">{LAUGHS}]>',
    "quadratic": f'<!DOCTYPE Emessage [<!ENTITY l11 "{"a" * 100_000}">]>',
    "loop": '<!DOCTYPE Emessage [<!ENTITY l11 "&l12;"><!ENTITY l12 "&l11;">]>',
    "after a comment": "<!-- <Emessage> --><?a b?>\n <!DOCTYPE Emessage []>",
    "lower case": "<!doctype Emessage>",
}


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A loop-back HTTP server that notes every request."""
    hits: list[str] = []

    class Noting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Noting)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", hits
    server.shutdown()
    thread.join()


@pytest.mark.parametrize("name", DOCTYPES)
@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8", "UTF-16"])
def test_a_doctype_is_refused_and_nothing_is_fetched(name: str, encoding: str, listener: tuple[str, list[str]]) -> None:
    url, hits = listener
    data = emessage(
        (ENVELOPE + LETTER).replace("Kontrol", "&l11;" * (1000 if name == "quadratic" else 1)),
        encoding=encoding,
        start=DOCTYPES[name].replace("{url}", url),
    )
    log = refused(data, "XML003")
    assert len(log) == 1
    assert hits == []


def test_the_listener_hears_a_careless_parser(listener: tuple[str, list[str]], tmp_path: Path) -> None:
    """Negative control: something does reach the listener when it is asked to."""
    import urllib.error
    import urllib.request

    url, hits = listener
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/x.dtd", timeout=5)
    assert hits == ["/x.dtd"]


def test_a_careless_parser_would_read_the_file(tmp_path: Path) -> None:
    """Negative control of the DOCTYPE guard: with the settings left open, the entity's file is in the value."""
    secret = tmp_path / "secret.txt"
    secret.write_text("hemmelig", encoding="utf-8")
    start = f'<!DOCTYPE Emessage [<!ENTITY f SYSTEM "{secret.as_uri()}">]>'
    data = emessage((ENVELOPE + LETTER).replace("Kontrol", "&f;"), start=start)
    careless = etree.fromstring(data, etree.XMLParser(resolve_entities=True))
    assert "hemmelig" in "".join(careless.itertext())
    refused(data, "XML003")


def test_the_word_doctype_is_no_doctype() -> None:
    """Negative control: in a comment, in CDATA and as text it is harmless."""
    data = emessage(
        (ENVELOPE + LETTER).replace("Kontrol", "<![CDATA[<!DOCTYPE x>]]>&lt;!DOCTYPE y>"),
        start="<!-- <!DOCTYPE x [<!ENTITY a 'b'>]> -->",
    )
    assert read_clean(data).values["AdditionalInformation.Subject"] == "<!DOCTYPE x><!DOCTYPE y>"


def test_an_undefined_entity_is_refused() -> None:
    refused(letter_with("Kontrol", "&nbsp;"), "XML002")


def test_external_references_are_not_followed(listener: tuple[str, list[str]]) -> None:
    url, hits = listener
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{url}/x.xml" parse="text"/>'
    letters, log = read_all(text_document("a" + include + "b"))
    assert letters[0].text("ClinicalInformation[1].Text01") == "ab"
    assert {issue.code for issue in log} == {"XML036", "XML033"}
    harmless = emessage(start=f'<?xml-stylesheet type="text/xsl" href="{url}/x.xsl"?>').replace(
        b"<Emessage ",
        b'<Emessage xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xml:base="' + url.encode() + b'" '
        b'xsi:schemaLocation="' + NAMESPACE.encode() + b" " + url.encode() + b'/x.xsd" ',
    )
    assert read_clean(harmless).values == PLAIN.values
    assert hits == []


# --- ceilings -------------------------------------------------------------------------------------------------------


def nested(depth: int) -> str:
    return "<A>" * depth + "x" + "</A>" * depth


def nested_at(end: str, depth: int) -> bytes:
    return emessage().replace(end.encode(), nested(depth).encode() + end.encode())


@pytest.mark.parametrize("depth", [99, 250, 300, 10_000, 500_000])
@pytest.mark.parametrize("end", ["</Patient>", "</Text01>", "</Subject>", "</ClinicalEmail>", "</Sent>"])
def test_depth(depth: int, end: str) -> None:
    refused(nested_at(end, depth), "XML007")


@pytest.mark.parametrize(("depth", "codes"), [(99, ["LTR001"]), (100, ["LTR001", "XML007"]), (10_000, ["XML007"])])
def test_depth_of_a_letter_that_nobody_knows(depth: int, codes: list[str]) -> None:
    letters, log = read_all(nested_at("</Emessage>", depth))
    assert [issue.code for issue in log] == codes
    assert [letter.refused for letter in letters] == [False, True][: 2 if "LTR001" in codes else 0]


def test_depth_below_the_limit_is_read() -> None:
    letters, log = read_all(letter_with("Kontrol", nested(90)))
    assert [issue.code for issue in log] == ["XML035"]
    assert letters[0].values["AdditionalInformation.Subject"] == "x"
    letters, log = read_all(letter_with("</Patient>", nested(90) + "</Patient>"))
    assert [issue.code for issue in log] == ["XML030"]
    refused(letter_with("</Patient>", nested(90) + "</Patient>"), "XML007", Limits(xml_depth=50))


def test_a_higher_limit_of_depth() -> None:
    _, log = read_all(letter_with("</Patient>", nested(600) + "</Patient>"), Limits(xml_depth=1000))
    assert [issue.code for issue in log] == ["XML030"]
    refused(letter_with("</Patient>", nested(1001) + "</Patient>"), "XML007", Limits(xml_depth=1000))
    markup = text_document("<Bold>" * 1900 + "x" + "</Bold>" * 1900)
    letters, log = read_all(markup, Limits(xml_depth=2000))
    assert letters[0].refused
    assert {issue.code for issue in log} == {"XML036", "XML007"}


def test_elements() -> None:
    refused(letter_with("Kontrol", "<Break/>" * 2_000_000), "XML008")
    refused(emessage(ENVELOPE + "<A></A>" * 1_000_000), "XML008")
    few = Limits(xml_elements=60)
    assert read_all(emessage(), few)[0][0].values == PLAIN.values
    refused(text_document("<Break/>" * 60), "XML008", few)
    lines = read_clean(text_document("a<Break/>" * 90_000))
    assert len(lines.text("ClinicalInformation[1].Text01") or "") == 180_000


def test_elements_in_comments_and_cdata_do_not_count() -> None:
    few = Limits(xml_elements=60)
    data = text_document("<!-- " + "<A>" * 500 + " --><![CDATA[" + "<B>" * 500 + "]]><?c " + "<C>" * 500 + "?>x")
    letters, log = read_all(data, few)
    assert [issue.code for issue in log] == ["XML013"]
    assert letters[0].text("ClinicalInformation[1].Text01") == "<B>" * 500 + "x"


def test_attributes_and_namespaces() -> None:
    for name in ("a{}", "xmlns:p{}"):
        many = " ".join(f'{name.format(n)}="urn:{n}"' for n in range(300_000))
        refused(letter_with("<Subject>", f"<Subject {many}>"), "XML009")
    spread = "".join(f'<A b="{n}" c="d"/>' for n in range(60_000))
    refused(letter_with("</Patient>", spread + "</Patient>"), "XML009")
    some = " ".join(f'a{n}="{n}"' for n in range(500))
    letters, log = read_all(letter_with("<Subject>", f"<Subject {some}>"))
    assert {issue.code for issue in log} == {"XML033"}
    assert sum(issue.count for issue in log) == len(letters[0].extras) == 500
    assert read_clean(letter_with("Kontrol", "a=b" * 20_000)).text("AdditionalInformation.Subject") == "a=b" * 20_000


def test_greater_than_inside_attributes_hides_nothing() -> None:
    hidden = "".join(f" a{n}='>'" for n in range(20_000))
    refused(letter_with("<Subject>", f"<Subject{hidden}>"), "XML009")


def test_text() -> None:
    long = "a" * (11 * 1024**2)
    log = refused(text_document(long), "XML012")
    assert log.issues[0].at.path == "/Emessage/ClinicalEmail/ClinicalInformation[1]/Text01"
    assert "10485760" in log.issues[0].message
    refused(letter_with("Kontrol", long), "XML012")
    refused(text_document("a<Break/>" + long[: 6 * 1024**2] + "<Break/>" + long[: 6 * 1024**2]), "XML012")
    refused(letter_with("</Patient>", f"<Ukendt>{long}</Ukendt></Patient>"), "XML030")
    assert (
        len(read_clean(text_document(long[: 9 * 1024**2])).text("ClinicalInformation[1].Text01") or "") == 9 * 1024**2
    )
    shorter = Limits(text=2000)
    assert read_all(text_document("a" * 2000), shorter)[0][0].values
    refused(text_document("a" * 2001), "XML012", shorter)


def test_a_long_value_beside_others_is_measured_in_each_letter() -> None:
    data = emessage(ENVELOPE + LETTER + LETTER.replace("Kontrol", "a" * 3000) + LETTER)
    letters, log = read_all(data, Limits(text=2500))
    assert [letter.refused for letter in letters] == [False, True, False]
    assert [issue.code for issue in log] == ["XML012"]


def test_a_document_beyond_the_limit_of_a_message() -> None:
    refused(emessage(), "XML010", Limits(message=100))
    assert read_all(emessage(), Limits(message=len(emessage())))[0][0].values


def test_a_value_with_a_limit_of_its_own_needs_no_other() -> None:
    """A large document that is all one allowed value is scanned, parsed with huge_tree and read."""
    letter = read_all(text_document("b" * (12 * 1024**2)), Limits(text=13 * 1024**2))[0][0]
    assert not letter.refused


# --- encodings ------------------------------------------------------------------------------------------------------

WORDS = "æøåÆØÅ"


def relabelled(text: str, label: str, real: str) -> bytes:
    return emessage((ENVELOPE + LETTER).replace("Kontrol", text), encoding=real).replace(
        f'encoding="{real}"'.encode(), f'encoding="{label}"'.encode()
    )


@pytest.mark.parametrize(
    ("label", "real", "actual"),
    [
        ("ISO-8859-1", "UTF-8", "UTF-8"),
        ("windows-1252", "UTF-8", "UTF-8"),
        ("US-ASCII", "UTF-8", "UTF-8"),
        ("UTF-8", "ISO-8859-1", "ISO-8859-1"),
        ("utf8", "windows-1252", "windows-1252"),
        ("ISO-8859-1", "windows-1252", "windows-1252"),
        ("us-ascii", "ISO-8859-1", "ISO-8859-1"),
    ],
)
def test_label_and_bytes_that_disagree_are_named_and_refused(label: str, real: str, actual: str) -> None:
    text = WORDS + ("\u201d" if real == "windows-1252" else "")
    data = relabelled(text, label, real)
    log = refused(data, "XML005")
    (issue,) = log
    assert actual in issue.message
    assert label.upper().replace("UTF8", "UTF-8") in issue.message.upper()
    assert issue.at.line == 2
    letters, _ = read_all(data)
    assert [(letter.type, letter.version, letter.refused) for letter in letters] == [("DIS91", "D9134L", True)]
    assert read_clean(relabelled(text, real, real)).values["AdditionalInformation.Subject"] == text


def test_lxml_alone_reads_other_letters() -> None:
    """Negative control of the comparison of label and bytes."""
    root = etree.fromstring(relabelled(WORDS, "ISO-8859-1", "UTF-8"))
    assert root.findtext(f".//{{{NAMESPACE}}}Subject") == WORDS.encode().decode("iso-8859-1")


def test_a_document_without_label_is_utf_8() -> None:
    data = emessage(encoding="ISO-8859-1").partition(b"\n")[2]
    log = refused(data, "XML005")
    assert "no label" in log.issues[0].message


def test_one_utf_8_value_among_others_is_found() -> None:
    """As when a document is put together from two systems: decoding does not fail, and one value is mojibake."""
    data = emessage().replace("Prøve".encode("iso-8859-1"), "Prøve".encode())
    log = refused(data, "XML005")
    assert "in parts" in log.issues[0].message
    for encoding in ("ISO-8859-1", "windows-1252"):
        assert read_clean(relabelled("Ø 2,5 × ½ « Å. ÆØÅ", encoding, encoding)).values


def test_windows_quotes_are_read_under_their_own_label() -> None:
    letter = read_clean(relabelled("\u201c5 \u20ac\u201d", "windows-1252", "windows-1252"))
    assert letter.values["AdditionalInformation.Subject"] == "\u201c5 \u20ac\u201d"


@pytest.mark.parametrize("label", ["UTF-7", "EBCDIC-CP-DK", "IBM037", "UTF-32", "Shift_JIS", "ISO-8859-15", "x", ""])
def test_other_encodings_are_refused(label: str) -> None:
    data = emessage().replace(b'"ISO-8859-1"', f'"{label}"'.encode())
    refused(data, "XML004")


def test_utf_16_needs_its_mark_and_its_label() -> None:
    data = emessage(encoding="UTF-16")
    assert read_clean(data).values == PLAIN.values
    refused(data[2:], "XML006")
    refused(emessage().replace(b"ISO-8859-1", b"UTF-16"), "XML004")
    log = refused(
        emessage(encoding="UTF-16").replace("UTF-16".encode("utf-16-le"), "UTF-8".encode("utf-16-le")), "XML005"
    )
    assert "UTF-16" in log.issues[0].message
    refused(data[:-1], "XML006")
    refused(b"\xff\xfe\x00\x00" + emessage().decode("latin-1").encode("utf-32-le"), "XML006")


def test_a_mark_of_utf_8_under_another_label_is_reported() -> None:
    data = b"\xef\xbb\xbf" + relabelled(WORDS, "ISO-8859-1", "UTF-8")
    letters, log = read_all(data)
    assert [issue.code for issue in log] == ["XML011"]
    assert letters[0].values["AdditionalInformation.Subject"] == WORDS


@pytest.mark.parametrize(
    "data",
    [
        emessage().replace(b"Kontrol", b"Kon\0trol"),
        emessage(encoding="UTF-8").replace(b"Kontrol", b"Kon\xfftrol").replace("ø".encode(), b"\x81"),
        relabelled("Kontrol", "windows-1252", "windows-1252").replace(b"Kontrol", b"\x81"),
        emessage(encoding="UTF-16").replace("Kontrol".encode("utf-16-le"), b"K\0\0\0l\0"),
    ],
)
def test_bytes_that_are_no_characters(data: bytes) -> None:
    refused(data, "XML006")


@pytest.mark.parametrize("character", ["\x01", "\x08", "\x0b", "\x1f", "&#0;", "&#1;", "&#xFFFE;", "&#xD800;"])
def test_characters_that_xml_forbids(character: str) -> None:
    refused(emessage((ENVELOPE + LETTER).replace("Kontrol", character), encoding="UTF-8"), "XML002")


# --- values cut by markup -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["<!-- x -->", "<?a b?>", "<![CDATA[]]>", "<!---->", "<!--\n-->"])
def test_nothing_inside_a_number_cuts_it(inside: str) -> None:
    number = "2512489996"
    data = letter_with(number, number[:6] + inside + number[6:])
    letter, codes = read_one(data)
    assert letter.values["Patient.CivilRegistrationNumber"] == number
    assert codes == ([] if "CDATA" in inside else ["XML013"])
    cut = etree.fromstring(data).find(f".//{{{NAMESPACE}}}CivilRegistrationNumber")
    assert cut is not None
    if "CDATA" not in inside:
        assert cut.text != number, "negative control: with lxml's own settings the first half is what is read"


# --- broken documents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\n" * 100])
def test_empty(data: bytes) -> None:
    refused(data, "XML001")


@pytest.mark.parametrize(
    "data",
    [
        b"<",
        b"<?xml",
        b"<!--",
        b"\xef\xbb\xbf",
        b"UNA:+.? '",
        b"{}",
        emessage()[:-3],
        emessage() + b"<x/>",
        b"\n" + emessage(),
        letter_with("</Patient>", "</Person>"),
        letter_with("<Patient>", "<Patient a=1>"),
        letter_with("Kontrol", "a & b"),
        letter_with("Kontrol", "<!-- -- -->"),
        letter_with("Kontrol", "]]>"),
        letter_with("<Subject>", "<p:Subject>"),
    ],
)
def test_not_well_formed(data: bytes) -> None:
    refused(data, "XML002")


def test_a_fault_has_a_line_and_quotes_nothing() -> None:
    log = refused(emessage((ENVELOPE + "\n\n" + LETTER).replace("Kontrol", "&Andersen;")), "XML002")
    (issue,) = log
    assert (issue.at.line, issue.at.column) == (4, 1)
    assert "Andersen" not in issue.message
    assert "undeclared entity" in issue.message


def test_a_broken_large_document_is_refused_without_a_tree() -> None:
    refused(emessage("<A>" + "<B/>" * 200_000 + '<C d="'), "XML008")
    refused(emessage("x" * 11_000_000 + '<C d="<">'), "XML002")


@pytest.mark.parametrize(
    "error", [OSError, ValueError, UnicodeError, RecursionError, MemoryError, etree.XMLSyntaxError]
)
def test_whatever_the_parser_raises_is_a_finding(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        etree.clear_error_log()  # an error made by hand would take the last one of the whole process
        raise error("2512489996", 0, 0, 0) if error is etree.XMLSyntaxError else error("2512489996")

    monkeypatch.setattr(document.etree, "fromstring", fail)
    (issue,) = refused(emessage(start="<!-- -->"), "XML002" if error is etree.XMLSyntaxError else "XML099")
    assert "2512489996" not in issue.message


def test_reading_can_be_abandoned() -> None:
    log = IssueLog()
    letters: Iterator[Letter] = oioxml.read(emessage(ENVELOPE + LETTER * 3), DEFINITIONS, log)
    assert next(letters).values
    letters.close()  # type: ignore[attr-defined]


SLOW: dict[str, Callable[[], bytes]] = {
    "unclosed comment": lambda: b"<!--" + b"-" * 3_000_000,
    "unclosed instruction": lambda: b"<?xml " + b"encoding " * 300_000,
    "many comments": lambda: b"<!---->" * 500_000,
    "quotes": lambda: emessage("<A " + "'\"" * 1_000_000 + ">"),
    "unclosed tags": lambda: emessage("<A" * 1_000_000),
    "blanks": lambda: emessage(ENVELOPE + LETTER.replace("Kontrol", " " * 5_000_000 + "x")),
    "repeating groups with unknown content": lambda: emessage(
        ENVELOPE
        + LETTER.replace(
            "</ClinicalEmail>", "<ClinicalInformation><A/></ClinicalInformation>" * 40_000 + "</ClinicalEmail>"
        )
    ),
    "repeated elements": lambda: letter_with(
        "</Patient>", "<PersonSurnameName>x</PersonSurnameName>" * 50_000 + "</Patient>"
    ),
    "stray text": lambda: letter_with("</Patient>", "x<Ukendt/>" * 50_000 + "</Patient>"),
    "deep and wide": lambda: letter_with("</Patient>", "<A>" * 80 + "<B/>" * 90_000 + "</A>" * 80 + "</Patient>"),
    "misplaced markup": lambda: text_document("<Bold>" * 80 + "<Bold/>" * 90_000 + "</Bold>" * 80),
    "long names": lambda: letter_with("</Patient>", f"<{'A' * 40_000}/>" * 200 + "</Patient>"),
}


@pytest.mark.parametrize("name", SLOW)
def test_nothing_takes_more_than_linear_time(name: str) -> None:
    data = SLOW[name]()
    start = time.process_time()
    _, log = read_all(data)
    assert time.process_time() - start < 3 * SECOND
    assert len(log) < 200
