"""Letters full of made-up numbers and names, whole and broken, to see where a value of a message may leak to."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from xml.sax.saxutils import escape

WEIGHTS = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
SYLLABLES = ("ka", "ri", "mo", "te", "lu", "so", "vi", "ne", "ga", "bro")


@dataclass(frozen=True)
class Canary:
    """A number that no person has (a test serial, wrong check digit), and a name that is no word."""

    number: str
    name: str

    def traces(self) -> tuple[str, ...]:
        """What must not be found: the number as one piece and with a hyphen, and the name, in lower case."""
        return self.number, f"{self.number[:6]}-{self.number[6:]}", self.name.lower()


def canaries(count: int, seed: int = 20) -> list[Canary]:
    """That many canaries, the same for the same seed. Made at run time, so that none stands in the repository."""
    rng = random.Random(seed)
    found: dict[str, Canary] = {}
    while len(found) < count:
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(0, 99)
        number = f"{day:02}{month:02}{year:02}{rng.randint(9989, 9999)}"
        if sum(w * int(d) for w, d in zip(WEIGHTS, number, strict=True)) % 11:
            name = "Zq" + "".join(rng.choice(SYLLABLES) for _ in range(4)) + "x"
            found[name] = Canary(number, name)
    return list(found.values())


def released(text: str) -> str:
    """Text as EDIFACT data: service characters released."""
    return re.sub(r"([?:'+])", r"?\1", text)


def edifact_letter(canary: Canary, index: int) -> bytes:
    """A correspondence letter with the canary in every field that holds free data, the patient's own included."""
    n, name = canary.number, canary.name
    both = f"{name} {n}"
    segments = [
        f"UNH+L{index:06}+MEDDIS:D:93A:UN:D9134L+DIS91",
        "BGM+EPI++9+NA",
        "DTM+137:202605041015:203",
        "S01+01",
        f"NAD+SSP+9901010:SKS:SST++{both}:{both}:{both}:::US",
        f"ADR++US:{both}:{both}+{both}+9999",
        f"CON++{n}:TE",
        "SEQ++1",
        "SPR+ORG+1:SKS:SST+DIS91:SKS:SST",
        "S01+01",
        f"NAD+PO+{n}:YNR:SFU++{both}:{both}:{both}:::US",
        "SEQ++2",
        "S02+02",
        "GIS+N",
        f"RFF+SRI:L{index:06}",
        "RFF+HI:NC",
        "DTM+182:202605041015:203",
        "S07+07",
        f"PNA+PAT+{n}:::CPR:IM+++SU:{name}+FO:{name} {name}",
        f"ADR++US:{name}vej {n}:{name}+{both}+9999",
        f"EMP+1++:::{both}",
        "S11+11",
        "GIS+N",
        f"RFF+REI:{n}{name}",
        "SEQ++1",
        "PAS+HS",
        "S14+14",
        f"FTX+OE+P00++{both}",
        f"FTX+NC+P00++Om {both}?:::{n[:6]}-{n[6:]} er set i dag.:{name}",
        f"FTX+NC+PF0++{both}",
        "S14+14",
        f"FTX+BIN+P00++{both}:2f6b18d94ce0473fa5719b3ed8c0647a:VGR:PDF:{n}",
        f"FTX+URL+P00++{both}:https?://eksempel.invalid/{name}/{n}",
        f"FTX+SUP+P00++{both}",
    ]
    segments.append(f"UNT+{len(segments) + 1}+L{index:06}")
    head = f"UNB+UNOC:3+5790000120314:14+5790000121526:14+260504:1020+K{index:06}++++1"
    return b"UNA:+.? '\n" + "".join(f"{s}'\n" for s in (head, *segments, f"UNZ+1+K{index:06}")).encode("latin-1")


def xml_letter(canary: Canary, index: int) -> bytes:
    """The same letter in OIOXML."""
    n, name = canary.number, escape(canary.name)
    both = f"{name} {n}"

    def party(kind: str, gln: str, identifier: str, code: str, rest: str = "") -> str:
        names = "".join(f"<{e}Name>{both}</{e}Name>" for e in ("Organisation", "Department", "Unit"))
        address = f"<StreetName>{both}</StreetName><SuburbName>{both}</SuburbName><DistrictName>{both}</DistrictName>"
        ids = f"<EANIdentifier>{gln}</EANIdentifier><Identifier>{identifier}</Identifier>"
        return f"<{kind}>{ids}<IdentifierCode>{code}</IdentifierCode>{names}{address}{rest}</{kind}>"

    sender = party(
        "Sender",
        "5790000120314",
        "9901010",
        "sygehusafdelingsnummer",
        f"<TelephoneSubscriberIdentifier>{n}</TelephoneSubscriberIdentifier>",
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        '<Emessage xmlns="http://rep.oio.dk/sundcom.dk/medcom.dk/xml/schemas/2006/07/01/"><Envelope>'
        "<Sent><Date>2026-05-04</Date><Time>10:20</Time></Sent>"
        f"<Identifier>K{index:06}</Identifier><AcknowledgementCode>pluspositivkvitt</AcknowledgementCode></Envelope>"
        f"<ClinicalEmail><Letter><Identifier>L{index:06}</Identifier><VersionCode>XD9134L</VersionCode>"
        "<StatisticalCode>XDIS91</StatisticalCode>"
        "<Authorisation><Date>2026-05-04</Date><Time>10:15</Time></Authorisation>"
        "<TypeCode>XDIS91</TypeCode><StatusCode>nytbrev</StatusCode>"
        f"<EpisodeOfCareIdentifier>{n}{name}</EpisodeOfCareIdentifier></Letter>"
        f"{sender}{party('Receiver', '5790000121526', n, 'ydernummer')}"
        f"<Patient><CivilRegistrationNumber>{n}</CivilRegistrationNumber>"
        f"<PersonSurnameName>{name}</PersonSurnameName><PersonGivenName>{both}</PersonGivenName>"
        f"<StreetName>{both}</StreetName><OccupancyText>{both}</OccupancyText>"
        "<EpisodeOfCareStatusCode>indlagt</EpisodeOfCareStatusCode></Patient>"
        f"<AdditionalInformation><Subject>{both}</Subject></AdditionalInformation>"
        f"<ClinicalInformation><Text01>Om {both}<Break/><Bold>{both}</Bold><Break/></Text01></ClinicalInformation>"
        f"<Reference><RefDescription>{both}</RefDescription><URL>https://eksempel.invalid/{n}</URL></Reference>"
        "</ClinicalEmail></Emessage>\n"
    ).encode("latin-1")


def broken_edifact(letter: bytes, canary: Canary) -> dict[str, bytes]:
    """The letter with one fault each, placed where the canary is: what a careless message would quote."""
    number, name = canary.number.encode(), canary.name.encode()
    swap = letter.replace
    return {
        "number-as-tag": swap(b"EMP+1", number + b"+1"),
        "name-as-tag": swap(b"EMP+1", name + b"+1"),
        "number-as-code": swap(b"GIS+N'\nRFF+SRI", b"GIS+" + number + b"'\nRFF+SRI"),
        "name-as-status": swap(b"PAS+HS", b"PAS+" + name),
        "name-as-format": swap(b"FTX+NC+P00", b"FTX+NC+" + name),
        "number-as-date": swap(b"DTM+137:202605041015", b"DTM+137:" + number),
        "number-as-count": re.sub(rb"UNT\+\d+", b"UNT+" + number, letter),
        "number-as-reference": re.sub(rb"(UNT\+\d+\+)\w+", rb"\g<1>" + number, letter),
        "number-as-interchange-reference": re.sub(rb"UNZ\+1\+\w+", b"UNZ+1+" + number, letter),
        "name-as-type": swap(b"MEDDIS:D:93A:UN:D9134L+DIS91", name + b":D:93A:UN:" + number + b"+" + name),
        "name-as-charset": swap(b"UNOC", name),
        "number-as-trigger": swap(b"S07+07", b"S07+" + number),
        "long-number": swap(b"PNA+PAT+" + number, b"PNA+PAT+" + number + number),
        "name-as-number": swap(b"PNA+PAT+" + number, b"PNA+PAT+" + name),
        "long-name": swap(b"SU:" + name, b"SU:" + name * 20),
        "no-terminator": swap(b"'\nADR++US:" + name, b"\nADR++US:" + name),
        "release-before-name": swap(b"SU:" + name, b"SU:?" + name),
        "cut-in-number": letter[: letter.index(number) + 7],
        "cut-in-patient": letter[: letter.index(b"PNA+PAT") + 15],
        "utf-8": letter.decode("latin-1").replace(canary.name, canary.name + "æø").encode(),
        "twice": swap(b"EMP+1", b"PNA+PAT+" + number + b"+++SU:" + name + b"'\nEMP+1"),
    }


def broken_xml(letter: bytes, canary: Canary) -> dict[str, bytes]:
    """The same for OIOXML."""
    number, name = canary.number.encode(), canary.name.encode()
    swap = letter.replace
    return {
        "both-as-element": swap(b"OccupancyText>", name + number + b">"),
        "number-in-element": swap(b"OccupancyText>", b"P" + number + b">"),
        "unclosed": swap(b"</PersonSurnameName>", b"</" + name + b">"),
        "name-as-code": swap(b">indlagt<", b">" + name + b"<"),
        "number-as-date": swap(b"<Date>2026-05-04</Date>", b"<Date>" + number + b"</Date>"),
        "name-as-version": swap(b"XD9134L", name),
        "name-as-namespace": swap(b"2006/07/01", name),
        "long-number": swap(b"Number>" + number, b"Number>" + number + number),
        "comment-in-number": swap(b"Number>" + number[:6], b"Number>" + number[:6] + b"<!-- -->"),
        "entity": swap(b"<Emessage", b'<!DOCTYPE Emessage [<!ENTITY who "' + name + b'">]><Emessage'),
        "unknown-entity": swap(b"Surname" + b"Name>" + name, b"SurnameName>&" + name + b";"),
        "attribute": swap(b"<Patient>", b'<Patient who="' + name + b" " + number + b'">'),
        "stray-text": swap(b"<Patient>", b"<Patient>" + name + b" " + number),
        "cut": letter[: letter.index(b"<Patient>") + 60],
        "twice": swap(
            b"<PersonSurnameName>", b"<PersonSurnameName>" + name + b"</PersonSurnameName><PersonSurnameName>"
        ),
        "charset": swap(b"ISO-8859-1", name),
    }


def broken_json(bundle: bytes, canary: Canary) -> dict[str, bytes]:
    """A converted Bundle with one fault each."""
    text = bundle.decode()
    number, name = canary.number, canary.name
    quoted = f'"{number} {name}"'
    return {
        key: value.encode()
        for key, value in {
            "name-as-property": text.replace('"birthDate"', f'"{name}"').replace('"address"', f'"{name} {number}"'),
            "unknown-property": text.replace(
                '"resourceType": "Patient"', f'"resourceType": "Patient", "{name} x": {quoted}'
            ),
            "number-as-property": text.replace(
                '"resourceType": "Patient"', f'"resourceType": "Patient", "{number}": {quoted}'
            ),
            "duplicate": text.replace(
                '"resourceType": "Patient"', f'"resourceType": "Patient", "{number}": 1, "{number}": {quoted}'
            ),
            "name-as-type": text.replace('"resourceType": "Patient"', f'"resourceType": "{name}"'),
            "name-as-status": text.replace('"status": "unknown"', f'"status": {quoted}'),
            "number-as-time": re.sub(r'"timestamp": "[^"]*"', f'"timestamp": {quoted}', text),
            "name-as-system": text.replace("urn:oid:1.2.208.176.1.2", f"urn:{name}:{number}"),
            "name-as-profile": re.sub(r'("profile": \[\s*)"[^"]*"', rf"\g<1>{quoted}", text),
            "name-as-reference": re.sub(r'"reference": "[^"]*"', f'"reference": "Patient/{name}-{number}"', text),
            "number-bare": text.replace(f'"{number}"', number.lstrip("0")),
            "cut": text[: text.index(number) + 8],
            "no-comma": text.replace(f'"{number}",', f'"{number}"'),
            "control-character": text.replace(name, name[:3] + "\x01" + name[3:], 1),
        }.items()
    }
