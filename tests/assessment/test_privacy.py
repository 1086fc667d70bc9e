"""Nothing of a message is in the files of an assessment, and nobody finds a number by trying all numbers."""

from __future__ import annotations

import hashlib
import hmac
import json
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from converter.assessment.assembling import Found
from converter.assessment.metrics import QUASI
from converter.assessment.tables import FACTS, FINDINGS, SMALL, TABLES, Keys, read
from tests.assessment import known
from tests.assessment.answers import KEY
from tests.assessment.conftest import Assessed, run

NAMES = (
    "Ahornkvist",
    "Birkelunding",
    "Bertramine",
    "Hemmelig",
    "Strandvejen",
    "Nordfjord",
    "Asta Prøve",
    "forespørgsel",
)


def texts(folder: Path) -> dict[str, str]:
    """All files of an assessment as text, the tables by their cells: what is packed in Parquet cannot be searched."""
    found = {
        path.name: path.read_bytes().decode("utf-8", "replace") for path in sorted(folder.rglob("*")) if path.is_file()
    }
    for table in TABLES:
        found[table.file] = json.dumps(read(folder / table.file, table), ensure_ascii=False)
    return found


def leaks(folder: Path, secrets: Iterable[str]) -> list[tuple[str, int]]:
    """Which files hold how many of the secrets."""
    wanted = set(secrets)
    held = {name: sum(secret in text for secret in wanted) for name, text in texts(folder).items()}
    return [(name, number) for name, number in held.items() if number]


def numbers() -> set[str]:
    """The numbers of the patients that were planted."""
    writer = known._Writer(known.UNIT, 1)
    return {message.patient for message in writer.all() if message.patient}


def ids() -> set[str]:
    """Ids of letters, envelopes and objects that were planted, and the location numbers."""
    writer = known._Writer(known.UNIT, 1)
    made = writer.all()
    objects = {message.marks[1] for message in made if message.marks[:1] == ("names",)}
    return {one for message in made for one in (message.id, "K" + message.id[1:], message.sender)} | objects


def test_no_file_holds_a_number_a_name_a_text_or_an_id(assessed: Assessed) -> None:
    assert len(numbers()) > 100
    assert leaks(assessed.folder, numbers()) == []
    assert leaks(assessed.folder, NAMES) == []
    assert leaks(assessed.folder, ids()) == []


def test_neither_does_the_report_in_danish(assessed: Assessed, tmp_path: Path) -> None:
    done = run("assess", "report", assessed.folder, "--lang", "da", "-o", tmp_path / "rapport.html", "--csv", "none")
    assert done.exit_code == 0, done.output
    told = (tmp_path / "rapport.html").read_text(encoding="utf-8")
    assert "Svaret i fem sætninger" in told
    assert [secret for secret in (*numbers(), *NAMES, *ids()) if secret in told] == []


def test_a_secret_that_is_there_is_found(assessed: Assessed, tmp_path: Path) -> None:
    for path in assessed.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "summary.json").write_text(f'"{next(iter(numbers()))}"', encoding="utf-8")
    assert leaks(tmp_path, numbers()) == [("summary.json", 1)]
    some = next(iter(read(assessed.folder / FACTS.file, FACTS)))["sender"]
    assert "facts.parquet" in dict(leaks(assessed.folder, [some])), "cells of tables are searched"


def guesses(number: str, keys: Iterable[bytes]) -> set[str]:
    """What somebody would try who wants to know whether a number is there."""
    spelled = [number, f"{number[:6]}-{number[6:]}", f"patient\0{number}", f"party\0{number}"]
    found = {
        hashlib.new(name, text.encode()).hexdigest()
        for text in spelled
        for name in ("md5", "sha1", "sha256", "blake2b")
    }
    for key in keys:
        found |= {hmac.digest(key, text.encode(), "sha256").hex() for text in spelled}
        found |= {hashlib.blake2b(text.encode(), key=key[:64], digest_size=12).hexdigest() for text in spelled}
    return found


def recovered(rows: list[dict[str, Any]], column: str, keys: Iterable[bytes]) -> int:
    """How many of the planted numbers can be read off a column by trying them with these keys."""
    held = {row[column][1:] for row in rows if row[column]}
    return sum(any(guess[:20] in held for guess in guesses(number, keys)) for number in numbers())


def test_numbers_cannot_be_enumerated_without_the_key(assessed: Assessed) -> None:
    rows = assessed.rows(FACTS)
    assert sum(bool(row["patient"]) for row in rows) > 100
    assert recovered(rows, "patient", [b"", b"key", b"medcom-fhir", b"0" * 32]) == 0
    # Negative controls: who has the key finds all of them, and a table without a key would be read by anybody.
    assert recovered(rows, "patient", [KEY]) == len({row["patient"] for row in rows if row["patient"]})
    unkeyed = [{"patient": "p" + hashlib.sha256(number.encode()).hexdigest()[:20]} for number in numbers()]
    assert recovered(unkeyed, "patient", []) == len(unkeyed)


def test_another_key_gives_other_identities_and_the_same_key_the_same() -> None:
    one, other = Keys(KEY), Keys(KEY[::-1])
    number = "290241" + "9990"  # put together here: the scan of the repository allows none
    assert one.patient(number) == one.patient(f"{number[:6]}-{number[6:]}") == Keys(KEY).patient(number)
    assert one.patient(number) != other.patient(number)
    assert one.patient(number)[1:] != one.party(number)[1:], "a number says nothing about the same number elsewhere"
    assert one.patient("") == one.party(" ") == ""


def test_small_numbers_of_a_sender_and_finding_are_not_told(assessed: Assessed) -> None:
    rows = assessed.rows(FINDINGS)
    whole = {row["finding"]: row["messages"] for row in rows if not row["sender"]}
    by_sender = [row for row in rows if row["sender"]]
    assert any(row["messages"] is None for row in by_sender)
    assert all(row["messages"] is None or row["messages"] >= SMALL for row in by_sender)
    assert all(whole[row["finding"]] >= SMALL for row in by_sender), "a small sum would tell what each sender has"
    for row in assessed.summary["findings"]:
        told = [one["messages"] for one in row["senders"]]
        assert told.count(None) != 1 or len(told) == 1, "one number that is left out would follow from the sum"


def test_a_single_small_number_takes_the_next_one_with_it() -> None:
    found = Found()
    for sender, n in (("pa", 2), ("pb", 7), ("pc", 30)):
        found.add(sender, n, n)
    assert found.shown() == {"pa": (None, None), "pb": (None, None), "pc": (30, 30)}
    few = Found()
    few.add("pa", 4, 4)
    assert few.shown() == {}


def test_anonymity_is_that_of_the_facts(assessed: Assessed) -> None:
    crowds = Counter(tuple(row[name] for name in QUASI) for row in assessed.rows(FACTS))
    told = assessed.summary["privacy"]["k_anonymity"]
    assert told["k"] == min(crowds.values())
    assert told["rows_below"] == sum(n for n in crowds.values() if n < told["limit"])


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory, warm: None) -> tuple[Path, list[str]]:
    """An assessment of letters with secrets where no secret belongs: types, versions, tags, elements, file names."""
    top = tmp_path_factory.mktemp("canaries")
    letter = next(iter(_first("DIS91 "))).decode("latin-1")
    number = next(iter(sorted(numbers())))
    changed = {
        "type": letter.replace("+DIS91'", "+KIRSEBÆR'"),
        "version": letter.replace("D9134L", "Mirabelle"),
        "tag": letter.replace("BGM+", "EVA+PÆRETRÆ'BGM+"),
        "component": letter.replace("GIS+N", f"GIS+N:{number}:BLOMMESTEN"),
        "code": letter.replace("PAS+POT", "PAS+STIKKELSBÆR"),
        "id": letter.replace("RFF+AHI:1", "RFF+AHI:HYLDEBLOMST"),
        "local": letter.replace(letter[letter.index("PNA+PAT+") + 8 :][:10], "RØNNEBÆR12"),
    }
    xml = f"<Emessage xmlns='http://rep.oio.dk/x'><Slåentorn>{number}</Slåentorn></Emessage>"
    (top / "corpus").mkdir()
    with zipfile.ZipFile(top / "corpus" / "Tyttebær.zip", "w") as archive:
        for name, text in changed.items():
            archive.writestr(f"Multebær-{name}.edi", text.encode("latin-1"))
        archive.writestr("Multebær.xml", xml.encode())
        bundle = {"resourceType": "Bundle", "type": "message", "Havtornen": number, "entry": []}
        archive.writestr("Multebær.json", json.dumps(bundle))
    done = run("assess", "run", top / "corpus", "-o", top / "result", "--jobs", 1, "--quiet")
    assert done.exit_code == 1, "one of them is no message that could be read"
    secrets = [
        "KIRSEB",
        "Mirabelle",
        "PÆRETR",
        "BLOMMESTEN",
        "STIKKELSB",
        "HYLDEBLOMST",
        "RØNNEB",
        "Slåen",
        "Tytteb",
        "Multeb",
    ]
    return top / "result", [*secrets, "Havtorn", number, "EVA"]


def _first(kind: str) -> list[bytes]:
    writer = known._Writer(known.UNIT, 1)
    plain = [m for m in writer.all() if f"{m.type} " == kind and not (m.change or m.marks or m.asks)]
    return [known._bytes(plain[0])]


def test_secrets_in_strange_places_stay_where_they_are(canaries: tuple[Path, list[str]]) -> None:
    folder, secrets = canaries
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary["corpus"]["messages"] >= 8
    assert summary["privacy"]["key"] == "drawn"
    assert leaks(folder, secrets) == []
