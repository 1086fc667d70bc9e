"""Any number of EDIFACT letters of a stated mix, from a table and a seed. Imports nothing of what it measures.

The letter with number i of a seed is the same bytes whenever and wherever it is made. Persons are invented, their
numbers are official test numbers; ids of letters and interchanges occur once.

    python -m benchmarks.generator corpus/ --messages 100000 --mix realistic --seed 1
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

# In per cent. No figures of real traffic by letter type are published: `realistic` is our own assumption.
MIXES = {
    "correspondence": {"DIS91": 100},
    "realistic": {"DIS91": 50, "DIS01": 30, "REF01": 20},
}

# A line a segment, `{x}` a value drawn for the letter; `?`: there in some letters, `*`: several times, `@x`: the lines
# of another entry. The separators of the segments are written, and counted, when the letter is made.
TABLE = {
    "@hospital": """
        S01+01
        NAD+SSP+9901010:SKS:SST++Nordfjord Sygehus:Medicinsk Afdeling:{unit}:::US
        ADR++US:Sygehusvej 1+Nordfjord+9999
    """,
    "@doctor": """
        S01+01
        NAD+PO+099901:YNR:SFU++Lægerne Havnegade:Lægehus:{doctor}:::US
        ADR++US:Havnegade 12+Nordfjord+9999
    """,
    "@about": """
        S02+02
        GIS+N
        RFF+SRI:{letter}
        DTM+182:{day}{time}:203
    """,
    "@patient": """
        PNA+PAT+{cpr}:::CPR:IM+++SU:{surname}+FO:{given}
        ADR++US:{street}+Nordfjord+9999
    """,
    "DIS91": """
        UNH+{letter}+MEDDIS:D:93A:UN:D9134L+DIS91
        BGM+EPI++9+NA
        DTM+137:{day}{time}:203
        @hospital
        CON++70112233:TE
        SEQ++1
        SPR+ORG+1:SKS:SST+DIS91:SKS:SST
        @doctor
        SEQ++2
        @about
        S07+07
        @patient
        S11+11
        GIS+N
        RFF+AHI:1
        SEQ++1
        PAS+POT
        S14+14
        FTX+OE+P00++{subject}
        *FTX+NC+P00++{text}
    """,
    "DIS01": """
        UNH+{letter}+MEDDIS:D:93A:UN:D0133L+DIS01
        BGM+EPI++9+NA
        DTM+137:{day}{time}:203
        @hospital
        SEQ++1
        SPR+ORG+1:SKS:SST+DIS01:SKS:SST
        @doctor
        SEQ++2
        @about
        S07+07
        @patient
        S11+11
        GIS+N
        RFF+AHI:1
        SEQ++1
        DTM+90:{day}0705:203
        DTM+91:{day}{time}:203
        PAS+HS
        CIN+A+{diagnosis}
        ?CIN+DM+{diagnosis}
        S14+14
        CIN+H+{diagnosis}
        S14+14
        DTM+CIC:{day}{time}:203
        *FTX+NC+P00++{text}
    """,
    "REF01": """
        UNH+{letter}+MEDREF:D:93A:UN:H0130R+REF01
        BGM+HNV++9+NA
        DTM+137:{day}{time}:203
        @doctor
        SEQ++1
        SPR+ORG+580:SKS:SST+REF01:SKS:SST
        @hospital
        SEQ++2
        S01+01
        NAD+BV+++Læge:{name}::::US
        RFF+AHL:1
        SEQ++3
        S02+02
        GIS+N
        RFF+ROI:{letter}
        DTM+4:{day}{time}:203
        CIN+H+{referred}
        ?CIN+B+{referred}
        S06+06
        STS++NR
        S07+07
        @patient
        ?CON+HO+70112266:TE
        S12+12
        *FTX+NC+P00++{text}
        ?FTX+CF+P00++{text}
        FTX+MT+P00++Paracetamol 1 g x 4
        S18+18
        GIS+N
        S19+19
        STS++NR
    """,
}
_SENDERS = {"REF01": ("5790000121526", "5790000120314")}
_HOSPITAL, _DOCTOR = "5790000120314", "5790000121526"

_WORDS = {
    "unit": ("Afsnit M1", "Afsnit M2", "Visitationen", "Ambulatoriet"),
    "doctor": ("Læge Asta Prøve", "Læge Bo Prøve", "Læge Åse Eksempel"),
    "name": ("Asta Prøve", "Bo Prøve", "Åse Eksempel"),
    "surname": ("Berggren", "Elmer", "Lauridsen", "Kjeldsen", "Østergård"),
    "given": ("Nancy Ann", "Bruno Test", "Magnus", "Else", "Åge"),
    "street": ("Skovvej 7, 2. tv", "Strandvejen 8", "Bakken 3", "Søndergade 114, st."),
    "subject": ("Svar på forespørgsel", "Kontrol", "Medicinændring", "Aftale om blodprøve", "Afsluttet forløb"),
}
_CPR = ("0201609995", "0201609996", "0504909995", "0504909989", "0201919990", "0201919996", "2509479989", "2512489996")
_DIAGNOSES = (
    ("DJ189", "Pneumoni UNS"),
    ("DJ459", "Astma UNS"),
    ("DE109", "Insulinkrævende sukkersyge UNS"),
    ("DI489", "Atrieflimren eller atrieflagren UNS"),
    ("DG439", "Migræne UNS"),
    ("DM171", "Primær enkeltsidig artrose i knæ"),
)
_SENTENCES = (
    "Patienten er set i dag og har det godt.",
    "Der er ikke planlagt yderligere kontrol.",
    "Behandlet med penicillin med god virkning.",
    "Tiltagende smerter i højre knæ, går med stok.",
    "Plan?: kontrol om 14 dage ?+ blodprøver.",
    "Blodtryk 130/80, puls 70 og regelmæssig.",
    "Medicin ved udskrivelsen?: paracetamol 1 g x 4.",
    "Pårørende er informeret og indforstået.",
    "Bedes I tage stilling til videre forløb??",
    "Almentilstanden er god, vægt og temperatur uændret.",
)


def letter(number: int, mix: str = "correspondence", seed: int = 1) -> bytes:
    """The letter with that number, in an interchange of its own, in ISO 8859-1."""
    random = Random(f"{seed}/{mix}/{number}")
    shares = MIXES[mix]
    type_ = random.choices(tuple(shares), tuple(shares.values()))[0]
    return _interchange(type_, number, random).encode("latin-1")


def _interchange(type_: str, number: int, random: Random) -> str:
    day = f"2026{random.randint(1, 9):02}{random.randint(1, 28):02}"
    values = {"letter": f"B{number:09}", "day": day, "time": f"{random.randint(8, 17):02}{random.randint(0, 59):02}"}
    values |= {name: random.choice(words) for name, words in _WORDS.items()}
    values["cpr"] = random.choice(_CPR)
    segments = [segment for row in _rows(type_) for segment in _row(row, values, random)]
    sender, receiver = _SENDERS.get(type_, (_HOSPITAL, _DOCTOR))
    head = f"UNA:+.? 'UNB+UNOC:3+{sender}:14+{receiver}:14+{day[2:]}:1020+K{number:09}++++0'"
    body = "".join(f"{segment}'" for segment in segments)
    return f"{head}{body}UNT+{len(segments) + 1}+{values['letter']}'UNZ+1+K{number:09}'"


def _rows(entry: str) -> Iterator[str]:
    for row in map(str.strip, TABLE[entry].split("\n")):
        if row.startswith("@"):
            yield from _rows(row)
        elif row:
            yield row


def _row(text: str, values: dict[str, str], random: Random) -> Iterator[str]:
    times = 1
    if text[0] == "?":
        times = random.randint(0, 1)
    elif text[0] == "*":
        times = random.choice((1, 1, 1, 2, 3))
    for _ in range(times):
        code, name = random.choice(_DIAGNOSES)
        lines = ":".join(random.choices(_SENTENCES, k=random.randint(1, 5)))
        drawn = {"text": lines, "diagnosis": f"{code}:SKS:SST:{name}", "referred": f"{code}:SKS::{name}"}
        yield text.lstrip("?*").format(**values, **drawn)


def write(folder: Path, messages: int, mix: str, seed: int, each: int = 10_000) -> Counter[str]:
    """Write that many letters into zip archives of `each` letters; returns how many there are of each type."""
    folder.mkdir(parents=True, exist_ok=True)
    types: Counter[str] = Counter()
    for first in range(0, messages, each):
        with zipfile.ZipFile(folder / f"{first:08}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(first, min(first + each, messages)):
                data = letter(number, mix, seed)
                types[data.split(b"UNT+", 1)[0].split(b"UNH+", 1)[1].split(b"'", 1)[0].split(b"+")[-1].decode()] += 1
                archive.writestr(zipfile.ZipInfo(f"{number:08}.edi"), data)
    return types


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a corpus from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--mix", choices=tuple(MIXES), default="correspondence")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    types = write(asked.folder, asked.messages, asked.mix, asked.seed)
    print(
        json.dumps(
            {"messages": asked.messages, "mix": asked.mix, "seed": asked.seed, "types": dict(sorted(types.items()))}
        )
    )
    return 0


if __name__ == "__main__":
    main()
