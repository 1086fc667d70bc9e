"""An invented correspondence letter with everything in it, and how tests change and read it."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, settings

from converter import edifact
from converter.engine import Engine
from converter.issues import IssueLog
from converter.letter import Letter

DEFINITIONS = Engine().definitions
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

LOOKS_ODD = {"EDI021"}  # made values may look like UTF-8 read in another character set

# Invented; the number is one of dk-core's test persons.
LETTER = """UNA:+.? '
UNB+UNOC:3+5790000120314:14+5790000121526:14+231120:1745+KUV1++++1'
UNH+BREV1+MEDDIS:D:93A:UN:D9134L+DIS91'
BGM+EPI++9+NA'
DTM+137:202311201744:203'
S01+01'
NAD+SSP+1234567:SKS:SST++Sygehus Syd:Medicinsk afdeling::::US'
ADR++US:Vej 1+Byen+4000'
CON++55550101:TE'
SEQ++1'
SPR+ORG+5:SKS:SST+DIS91:SKS:SST'
S01+01'
NAD+PO+123456:YNR:SFU++Lægehuset:::::US'
SEQ++2'
S02+02'
GIS+N'
RFF+SRI:BREV1'
RFF+NO:NC'
DTM+182:202311201744:203'
S07+07'
PNA+PAT+0201609995:::CPR:IM+++SU:Sønderup+FO:Ida'
ADR++US:Gaden 2::+Landsbyen+4001'
EMP+1++:::Smed'
S11+11'
GIS+N'
RFF+REI:0123456789abcdef0123456789abcdef'
SEQ++1'
PAS+HA'
S14+14'
FTX+OE+P00++Om næste besøg'
FTX+NC+P00++Kære kollega,:.:Patienten er set \\:i dag.'
FTX+NC+PF0++Vigtigt'
S14+14'
FTX+NC+P00++En anden tekst'
S14+14'
FTX+BIN+P00++Billede:6fb927da3be14b9f8875a6326617d20b:IMG:JPG:123'
FTX+URL+P00++Vejledning:https?://example.invalid/a'
FTX+SUP+P00++Papir'
UNT+37+BREV1'
UNZ+1+KUV1'
"""


def parts(text: str) -> list[str]:
    """The segments of a letter, without the advice and line ends."""
    return re.findall(r"(?:\?.|[^'?])+'", text.replace("\n", "").removeprefix("UNA:+.? '"))


def joined(segments: list[str], *, counted: bool = True) -> bytes:
    """The bytes of segments after the advice; UNT with the right count unless not `counted`."""
    body = parts("".join(segments))
    if counted:
        unh, unt = (next((n for n, s in enumerate(body) if s.startswith(tag)), -1) for tag in ("UNH", "UNT"))
        body[unt] = f"UNT+{unt - unh + 1}+BREV1'"
    return ("UNA:+.? '" + "".join(body)).encode("latin-1")


SEGMENTS = parts(LETTER)


def read(data: bytes) -> tuple[Letter, IssueLog]:
    log = IssueLog()
    (letter,) = edifact.read(data, DEFINITIONS, log, file="letter.edi")
    return letter, log


def codes(log: IssueLog) -> list[str]:
    return [issue.code for issue in log]


def replaced(old: str, new: str) -> bytes:
    """The letter with one segment changed."""
    assert sum(old in s for s in SEGMENTS) == 1, old
    return joined([s.replace(old, new) for s in SEGMENTS])
