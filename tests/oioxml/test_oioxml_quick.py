"""What the quick reader reads, the other one reads with the same result and without a finding."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Iterator

import pytest

from converter import oioxml
from converter.issues import IssueLog
from converter.letter import Letter
from converter.limits import Limits
from converter.oioxml import quick
from tests.alike import differing
from tests.oioxml.made import DEFINITIONS, ENVELOPE, LETTER, NAMESPACE, ROOT, emessage, letter_with, read_all
from tests.oioxml.made import text_document as text

LIMITS = Limits()
NAMES = ("full", "attachments", "references", "formatted-text", "many-texts", "only-xml-can-say", "minimal")
SAMPLES = [
    p.read_bytes() for p in sorted((ROOT / "fixtures/letters").glob("*/*/message.xml")) if p.parent.name in NAMES
]
TOKEN = re.compile(rb"<[^<>]*>|[^<>]+")
PIECES = (
    *(b"<Break/>", b"<Space/>", b"<Break />", b"<Bold>x<Break/>y</Bold>", b"<Right>h</Right>", b"<Bold>", b"</Bold>"),
    *(
        b"<FixedFont> a<Bold>b</Bold></FixedFont>",
        b"<Foo/>",
        b"<Date/>",
        b"<Identifier />",
        b"<Identifier></Identifier>",
    ),
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\t",
        b" ",
        b"&amp;",
        b"&lt;Bold&gt;",
        b"&quot;",
        b"&am",
        b"p;",
        b"&#13;",
        b"&foo;",
        b"&",
    ),
    *(b">", b"]]>", b"<!-- c -->", b"<?p i?>", b"<![CDATA[x]]>", b"\0", b"\x01", b"\x7f", b"\x85", b"\xa0", b"\xad"),
    *(
        b"\xc3\xa6",
        b"\xe6",
        b"\xef\xbf\xbe",
        b"stray",
        b"<VersionCode>XD9134L</VersionCode>",
        b"<Envelope>",
        b"</Text01>",
    ),
)


def quickly(data: bytes) -> Letter | None:
    return quick.read(data, DEFINITIONS, "brev.xml", LIMITS)


def carefully(data: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Letter], IssueLog]:
    with monkeypatch.context() as without:
        without.setattr(quick, "read", lambda *_: None)
        return read_all(data)


def differences(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str] | None:
    """What the quick reader does otherwise; None if it leaves the input to the other."""
    found = quickly(data)
    if found is None:
        return None
    return differing(found, *carefully(data, monkeypatch))


def altered(data: bytes, seed: int, number: int) -> Iterator[bytes]:
    """The document, written in one of several ways, with one or two tags or texts changed."""
    chance = random.Random(seed)
    for _ in range(number):
        other = data
        match chance.randrange(5):
            case 0:
                other = re.sub(rb">(?=<(?!Break|Space|Bold|Fixed))", b">\n  ", data)
            case 1:
                other = data.decode("latin-1").replace("ISO-8859-1", "UTF-8", 1).encode()
        tokens: list[bytes] = TOKEN.findall(other)
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(len(tokens))
            match chance.randrange(5):
                case 0:
                    tokens.insert(at, chance.choice(PIECES))
                case 1:
                    del tokens[at]
                case 2:
                    tokens.insert(chance.randrange(len(tokens)), tokens[at])
                case 3:
                    tokens[at] = tokens[at][:-1] + chance.choice((b" >", b"/>", b" a='b'>", b"\n>", b"<>", b""))
                case _:
                    middle = chance.randrange(len(tokens[at]) + 1)
                    tokens[at] = tokens[at][:middle] + chance.choice(PIECES) + tokens[at][middle:]
        yield b"".join(tokens)


def test_samples_are_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [differences(data, monkeypatch) for data in SAMPLES]
    assert [d for d in found if d] == []
    assert sum(d == [] for d in found) > len(found) * 0.8, "most of them are read quickly"


@pytest.mark.parametrize("number", [25, pytest.param(1000, marks=pytest.mark.long)])
def test_altered_samples_are_read_alike(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [emessage(), text("a<Bold>b<Break/>c</Bold>&lt;<Space/>")]
    files = [*made, *SAMPLES] if number > 100 else [*made, *SAMPLES[::6]]
    found = [differences(other, monkeypatch) for n, data in enumerate(files) for other in altered(data, n, number)]
    assert [d for d in found if d] == []
    assert 0.1 * len(found) < sum(d == [] for d in found) < 0.9 * len(found), "some can be read quickly, and some not"


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "plain_value", str.upper)
    assert differences(emessage(), monkeypatch) == []
    assert differences(letter_with("BREV1", "brev\t1"), monkeypatch) == ["values"]


CONTENT = ENVELOPE + LETTER


@pytest.mark.parametrize(
    "data",
    [
        emessage(),
        emessage(encoding="UTF-8"),
        b"\xef\xbb\xbf" + emessage(encoding="UTF-8"),
        emessage(encoding="windows-1252"),
        emessage(CONTENT.replace("Lægerne", "“Lægerne”"), encoding="windows-1252"),
        emessage("\n" + CONTENT.replace("><", ">\n\t<")),
        emessage(CONTENT.replace("><", ">\r\n<")),
        letter_with("BREV1", "&lt;1 &amp; 2 > 0"),
        letter_with("<Subject>Kontrol</Subject>", "<Subject/>"),
        text("<Bold>Æble</Bold><Break/><Space/>&lt;5 <Right>h</Right>"),
        emessage().replace(b"<Emessage ", b'<Emessage xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '),
    ],
)
def test_what_many_write_is_read_quickly(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert differences(data, monkeypatch) == []


@pytest.mark.parametrize(
    "data",
    [
        emessage(start="<!-- note -->"),
        emessage(start="<!DOCTYPE x>"),
        emessage(start="<?note a note?>"),
        emessage().replace(b"<Emessage ", b'<Emessage note="a note" '),
        emessage().replace(b"<Envelope>", b"a note<Envelope>"),
        emessage(CONTENT + LETTER),
        emessage(encoding="UTF-8").replace(b"UTF-8", b"ISO-8859-1"),
        emessage().replace(b"ISO-8859-1", b"UTF-8"),
        emessage().replace(b"ISO-8859-1", b"EBCDIC-US"),
        letter_with("BREV1", "\x85"),
        letter_with("BREV1", "\x01"),
        letter_with("BREV1", "]]>"),
        letter_with("BREV1", "&#13;"),
        text("&am<Break/>p;"),
        text("&am<Bold>p;</Bold>"),
        text("<Bold>a</Italic>"),
        text("&lt;Bold&gt;"),
        emessage().replace(b"</Emessage>", b"</Emessage"),
        emessage() + b"<!-- note -->",
        emessage().replace(NAMESPACE.encode(), NAMESPACE.replace("medcom", "other").encode()),
    ],
)
def test_what_is_to_be_looked_at_is_left_to_the_other(data: bytes) -> None:
    assert quickly(data) is None


def test_only_what_is_good_before_the_envelope_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "_heads", {})
    for number in range(3):
        assert quickly(emessage(start=f"<!-- {number} -->")) is None
    assert quick._heads == {}
    for number in range(2 * quick._MOST_HEADS):
        assert quickly(emessage(start="\n" * number))
    assert 0 < len(quick._heads) <= quick._MOST_HEADS


def test_a_beginning_that_was_read_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "_heads", {})
    data = emessage()
    assert not quick.begins_well(data)
    assert quickly(data)
    assert quick.begins_well(data)
    assert oioxml.sniff(data)
    assert not quick.begins_well(data[:-1].replace(b"<Envelope>", b""))
    assert not quick.begins_well(b" " + data)


def test_ceilings_hold() -> None:
    data = emessage()
    for limits in (Limits(text=len(data) - 1), Limits(message=len(data) - 1), Limits(xml_elements=60)):
        assert quick.read(data, DEFINITIONS, "", limits) is None
    assert quick.read(data, DEFINITIONS, "", Limits(text=len(data), message=len(data), xml_elements=200))


def test_hostile_documents_are_left_soon() -> None:
    """Every expression takes what it takes for good, so that nothing is tried twice."""
    for piece in ("<Text01>", "<Break/>", "<ClinicalInformation><Text01>", "</Text01>", "<", "&amp;", " ", "<a/>"):
        assert quickly(letter_with("Mødt til kontrol.<Break/>", piece * (60_000 // len(piece)) + "&")) is None


def test_letters_that_were_read_quickly_can_be_pickled() -> None:
    letter = quickly(emessage())
    assert letter is not None
    again = pickle.loads(pickle.dumps(letter))
    assert again == letter
    assert again.locate("Letter.Identifier") == letter.locate("Letter.Identifier") != ()
    assert letter.locate("no.such.leaf") == ()
