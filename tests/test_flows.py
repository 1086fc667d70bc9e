"""Flows: pairs and planted faults in both syntaxes and in FHIR, in any number, without a trace of anybody."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.engine import Engine, Outcome, mappings_folder
from converter.errors import MappingError
from converter.flows import Beside, Flows, load_table
from converter.issues import IssueLog
from converter.letter import Letter
from tests.canaries import Canary, canaries
from tests.cases import FIXTURES

CORPUS = FIXTURES / "flows" / "corpus"
DAY = "2026-09-30"
TABLE = load_table(mappings_folder() / "flows.yaml")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["flows", *map(str, arguments)], catch_exceptions=False)


def flows(*arguments: str | Path) -> dict[str, Any]:
    """The document of `--format json`."""
    found: dict[str, Any] = json.loads(run(*arguments, "--on", DAY, "--format", "json").stdout)
    return found


def name(place: dict[str, Any]) -> str:
    """The folder and file of a message, without what a conversion changes."""
    path = Path(place["file"])
    return f"{path.parent.name}/{path.name.split('.')[0]}"


def pairs(document: dict[str, Any]) -> list[tuple[object, ...]]:
    """Every flow by its messages, types, days and what joined it, in an order that does not depend on the corpus."""
    found = []
    for row in document["flows"]:
        referral = row["referral"]
        head = (name(referral), referral["type"], referral["age"]) if referral else ("", "", 0)
        answers = [(name(a), a["type"], a.get("days", 0), a.get("joined_by", "")) for a in row["answers"]]
        found.append((row["state"], *head, *sorted(answers)))
    return sorted(found)


def kinds(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Every finding by code and message file."""
    return {(finding["code"], name(finding)) for finding in document["findings"]}


PLANTED = {
    ("FLW001", "other-type-1/2-answer"),
    ("FLW001", "other-type-2/2-answer"),
    ("FLW002", "unanswered/old"),
    ("FLW002", "alike/2-referral"),
    ("FLW002", "one-id-of-two/1-referral"),
    ("FLW002", "two-senders/1-referral"),
    ("FLW003", "no-referral/names-one"),
    ("FLW003", "no-referral/names-that-of-another"),
    ("FLW004", "no-referral/names-none"),
    ("FLW005", "patient-changed/2-answer"),
    ("FLW006", "sent-twice/2-again"),
    ("FLW007", "one-id-of-two/2-referral"),
    ("FLW008", "alike/3-answer"),
}


PLACED = ("FLW001", "FLW003", "FLW004", "FLW005", "FLW008")


def test_fixtures_are_sound_letters(engine: Engine) -> None:
    files = [p for p in CORPUS.rglob("*.*") if p.suffix in {".edi", ".xml"}]
    assert {p.suffix for p in files} == {".edi", ".xml"}
    for path in files:
        for outcome in engine.validate(path.read_bytes(), name=path.name):
            assert [i.code for i in outcome.issues] == [], path


def test_report_of_the_fixtures(root: Path, golden: Callable[[Path, str | bytes | None], None]) -> None:
    done = run(CORPUS, "--on", DAY)
    assert done.exit_code == 0
    # The columns of the table are as wide as the path of the checkout makes them.
    golden(FIXTURES / "flows" / "expected.txt", re.sub("  +", "  ", done.stdout.replace(f"{root}/", "")))


def test_planted_faults_are_found_and_nothing_else() -> None:
    document = flows(CORPUS)
    assert kinds(document) == PLANTED
    agreed = {row["referral"]["type"]: row["answers"][0]["type"] for row in document["flows"] if _by_the_book(row)}
    assert agreed == {"REF01": "DIS02", "REF06": "DIS07"}
    assert Counter(row["state"] for row in document["flows"]) == {
        "answered": 10,
        "other answer": 2,
        "no answer": 5,
        "no referral": 3,
    }


def _by_the_book(row: dict[str, Any]) -> bool:
    return row["referral"] is not None and [a for a in row["answers"] if a["agreed"]] != []


@pytest.mark.parametrize("to", ["oioxml", "edifact"])
def test_the_other_legacy_syntax_has_the_same_flows(to: str, engine: Engine, tmp_path: Path) -> None:
    suffix = {"oioxml": ".xml", "edifact": ".edi"}[to]
    for path in _letters():
        data = path.read_bytes()
        (outcome,) = engine.convert(data, to=to) if path.suffix != suffix else [Outcome("", output=data)]
        _put(tmp_path, path, suffix, outcome.output)
    before, after = flows(CORPUS), flows(tmp_path)
    assert pairs(after) == pairs(before)
    assert kinds(after) == kinds(before)


def test_bundles_have_the_same_flows(engine: Engine, tmp_path: Path) -> None:
    """The referrals and answers are found before and after conversion to FHIR, with the same findings."""
    for path in _letters():
        _put(tmp_path, path, ".json", convert_one(engine, path))
    before, after = flows(CORPUS), flows(tmp_path)
    assert pairs(after) == pairs(before)
    assert kinds(after) == kinds(before)
    # A letter id is not at one place of a Bundle; what is said of others names its pointer.
    assert {f["code"] for f in after["findings"] if f.get("path", "").startswith("/entry/")} == set(PLACED)


def test_bundles_of_one_file_have_their_lines(engine: Engine, tmp_path: Path) -> None:
    lines = [convert_one(engine, path).replace(b"\n", b" ") for path in _letters()]
    (tmp_path / "all.ndjson").write_bytes(b"\n".join(lines))
    document = flows(tmp_path)
    assert Counter(f["code"] for f in document["findings"]) == Counter(code for code, _ in PLANTED)
    places = [row["referral"] for row in document["flows"] if row["referral"]]
    places += [answer for row in document["flows"] for answer in row["answers"]]
    copies = 1
    assert len({place["line"] for place in places}) == len(lines) - copies


def convert_one(engine: Engine, path: Path) -> bytes:
    """The Bundle of a letter."""
    (outcome,) = engine.convert(path.read_bytes(), to="fhir")
    assert outcome.output is not None, (path, outcome.issues)
    return outcome.output


def test_a_letter_and_its_bundle_are_one(engine: Engine, tmp_path: Path) -> None:
    """A corpus in the middle of its migration: every letter stands there as it came and as it was converted."""
    shutil.copytree(CORPUS / "agreed-by-episode", tmp_path / "agreed-by-episode")
    for path in _letters():
        if path.parent.name == "agreed-by-episode":
            _put(tmp_path, path, ".json", convert_one(engine, path))
    document = flows(tmp_path)
    assert [row["state"] for row in document["flows"]] == ["answered"]
    assert [f["code"] for f in document["findings"]] == ["FLW006", "FLW006"]


def _letters() -> list[Path]:
    return sorted(p for p in CORPUS.rglob("*.*") if p.suffix in {".edi", ".xml"})


def _put(folder: Path, path: Path, suffix: str, data: bytes | None) -> None:
    assert data is not None
    target = folder / path.parent.name / (path.stem + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


# The command


def test_days_and_day_decide_what_is_late() -> None:
    def late(*options: str) -> set[str]:
        document = json.loads(run(CORPUS / "unanswered", "--format", "json", *options).stdout)
        return {name(f) for f in document["findings"]}

    assert late("--on", DAY) == {"unanswered/old"}
    assert late("--on", DAY, "--after", "30") == {"unanswered/old", "unanswered/recent"}
    assert late("--on", DAY, "--after", "31") == {"unanswered/old"}
    assert late("--on", "2026-03-08", "--after", "30") == set()
    assert late("--on", "2026-04-06", "--after", "30") == {"unanswered/old"}


def test_exit_codes() -> None:
    assert run(CORPUS, "--on", DAY).exit_code == 0
    assert run(CORPUS, "--on", DAY, "--fail-on", "warning").exit_code == 1
    assert run(CORPUS / "agreed-by-episode", "--on", DAY, "--fail-on", "warning").exit_code == 0
    assert run(CORPUS, "--on", "yesterday").exit_code == 2
    assert run(CORPUS, "--after", "-1").exit_code == 2


def test_a_table_with_faults_is_4_and_none_is_2(tmp_path: Path) -> None:
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    command = [sys.executable, "-m", "converter", "flows", str(CORPUS), "--mappings", str(mappings)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    (mappings / "flows.yaml").write_text("answered_by: {A: {types: B, colour: red}}\n")
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 4
    assert b"flows.yaml:1:29 LNT280" in done.stderr


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github", "operationoutcome"])
def test_every_format_tells_of_every_finding(form: str) -> None:
    printed = run(CORPUS, "--on", DAY, "--format", form).stdout
    assert {code for code, _ in PLANTED} == {code for code, _ in PLANTED if code in printed}


def test_quiet_prints_only_what_changes_the_exit_code() -> None:
    assert run(CORPUS, "--on", DAY, "--quiet").stdout == ""
    assert "FLW001" in run(CORPUS, "--on", DAY, "--quiet", "--fail-on", "warning").stdout


def test_other_messages_are_counted_and_broken_ones_told(tmp_path: Path) -> None:
    shutil.copytree(CORPUS / "agreed-by-episode", tmp_path / "a")
    plain = FIXTURES / "letters" / "DIS91" / "plain" / "message.edi"
    shutil.copy(plain, tmp_path / "letter.edi")
    (tmp_path / "notes.txt").write_text("nothing of interest")
    (tmp_path / "cut.xml").write_bytes((CORPUS / "agreed-by-episode" / "2-answer.xml").read_bytes()[:900])
    done = run(tmp_path, "--on", DAY)
    assert done.exit_code == 1
    assert "1 messages of other types, 1 not readable" in done.stdout
    assert "cut.xml" in done.stdout
    assert "BAT011" in done.stdout


# The table


def test_table_faults_have_their_place() -> None:
    folder = mappings_folder()
    text = (folder / "flows.yaml").read_text(encoding="utf-8")
    leaves = {path for row in TABLE.rows.values() for paths in row.roles.values() for path in paths}
    assert TABLE.attachments is not None
    assert TABLE.receipts is not None
    receipts = TABLE.receipts
    leaves |= {TABLE.attachments.holds, TABLE.attachments.named, receipts.envelope, receipts.letter, receipts.sender}
    leaves |= set(TABLE.names)
    leaves |= {*receipts.original.values(), *receipts.wanted, *receipts.head}
    leaves |= {leaf.replace("[{n}]", "") for form in (receipts.each, receipts.refused) for leaf in form}
    types = {*TABLE.rows, *TABLE.attachments.types, *TABLE.receipts.types}
    known = dict.fromkeys(types - {"REF06"}, leaves)

    def faults(content: str, leaves: Callable[[str], set[str] | None] | None = None) -> list[str]:
        path = folder / "flows.yaml"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda self: content.encode())
            try:
                load_table(path, leaves)
            except MappingError as error:
                return [f"{i.at.line}:{i.code}:{i.message}" for i in error.issues]
        return []

    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("after:"))
    assert faults(text) == []
    assert faults(text.replace("after: 90", "after: soon")) == [f"{line}:LNT280:`after` is a number of days"]
    assert faults(text.replace("  REF01: {types: [DIS02]}", "  REF01: DIS02"))
    assert faults(text.replace("roles:", "rolls:"))
    assert faults(text.replace("  sender: Sender.EANIdentifier\n", "")) != []
    assert faults(text.replace("  sender: Sender", "  sender: {a: b}\n  x: Sender"))
    assert [fault.partition(":")[2] for fault in faults(text, {**known, "REF06": leaves}.get)] == []
    missing = faults(text, known.get)
    assert [fault.partition(":")[2] for fault in missing] == ["LNT281:there is no letter type REF06"]
    missing = faults(text, {**known, "REF06": leaves - {"Sender.EANIdentifier"}}.get)
    assert missing == []
    missing = faults(text, dict.fromkeys([*known, "REF06"], leaves - {"Sender.EANIdentifier"}).get)
    assert [fault.partition(":")[2] for fault in missing] == [
        "LNT281:there is no leaf Sender.EANIdentifier in the letters that it is for"
    ] * 3
    complete = {**known, "REF06": leaves}.get
    for name in ("holds: BinaryObject.", "named: Reference.", "OriginalLetter[{n}].Refuse", "  Letter.Version"):
        (misspelt,) = {
            fault.partition(":")[2].split(" leaf ")[0] for fault in faults(text.replace(name, f"{name}X"), complete)
        }
        assert misspelt == "LNT281:there is no"


# Letters that may tell of forwarding


def telling(*, patient: str = "X1", back: bool = True, day: str = "2026-02-01") -> Outcome:
    """A free letter: by default about the patient of the referral, from who got it to who sent it."""
    one, other = ("B", "A") if back else ("A", "B")
    facts = {"Letter.Authorisation.Date": day, "Letter.Identifier": "C1", "Patient.AlternativeIdentifier": patient}
    parties = {"Sender.EANIdentifier": one, "Receiver.EANIdentifier": other}
    return Outcome("", letter=Letter("DIS91", "D9134L", "edifact", facts | parties))


def referral_and_answer() -> list[Outcome]:
    found = list(letters(2, episode=lambda i: f"E{i}"))[2:]
    for outcome in found:
        assert outcome.letter is not None
        outcome.letter.values |= {"Patient.AlternativeIdentifier": "X1", "Letter.Authorisation.Date": "2026-01-10"}
    return found


@pytest.mark.parametrize(
    ("number", "letter", "wanted"),
    [
        (1, telling(), ["FLW013"]),
        (2, telling(), []),
        (1, telling(patient="X2"), []),
        (1, telling(back=False), []),
        (1, telling(day="2026-01-09"), []),
    ],
    ids=["open", "answered", "of another", "from who referred", "before"],
)
def test_a_free_letter_may_tell_that_a_referral_was_sent_on(number: int, letter: Outcome, wanted: list[str]) -> None:
    found, log = joined(iter([letter, *referral_and_answer()[:number]]))
    flows_found = list(found.found(date(2026, 2, 2), 90, log))
    assert [issue.code for issue in log] == wanted
    assert (len(flows_found), found.others) == (1, 1)


# Numbers of patients


def about(number: str, surname: str = "Quist", given: str = "Walter") -> Outcome:
    leaf = "Patient.AlternativeIdentifier" if number[7:9].isalpha() else "Patient.CivilRegistrationNumber"
    facts = {leaf: number, "Patient.PersonSurnameName": surname, "Patient.PersonGivenName": given}
    return Outcome("", letter=Letter("DIS20", "D2030C", "edifact", dict(facts)))


NATIONAL, ORDINARY = "0203291WQ3", "0201609995"
DECENTRAL = f"{NATIONAL[:6]}6{NATIONAL[7:]}"


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([about(NATIONAL), about(NATIONAL, "QUIST "), about(NATIONAL)], []),
        ([about(NATIONAL), about(NATIONAL, "Holm"), about(NATIONAL, "Krag")], ["FLW014"]),
        ([about(NATIONAL), about(NATIONAL, "")], []),
        ([about(ORDINARY), about(ORDINARY, "Holm")], []),
        ([about(NATIONAL), about(DECENTRAL), about(DECENTRAL)], ["FLW015"]),
        ([about(ORDINARY), about(ORDINARY[:6] + NATIONAL[6:])], ["FLW015"]),
        ([about(ORDINARY), about("0201609996")], []),
        ([about("HOSP123456"), about("HOSP123456", "Holm")], []),
    ],
    ids=["one", "two names", "no name", "new name", "two numbers", "became a person", "namesakes", "local id"],
)
def test_numbers_of_patients_are_compared_across_letters(outcomes: list[Outcome], wanted: list[str]) -> None:
    beside, log = Beside(TABLE), IssueLog()
    for line, outcome in enumerate(outcomes, 1):
        beside.add(outcome, "corpus", line)
    beside.report(log)
    assert [issue.code for issue in log] == wanted
    assert all("corpus:1" in issue.message and issue.at.line > 1 for issue in log)
    assert not any(word in issue.message for issue in log for word in (NATIONAL, "Quist", "Holm"))


# Any number of letters


def letters(number: int, *, episode: Callable[[int], str]) -> Iterator[Outcome]:
    """Referrals and their answers, one after the other, made without reading anything."""
    first = date(2020, 1, 1)
    for index in range(number):
        day, patient = (first + timedelta(days=index % 2000)).isoformat(), f"X{index:09}"
        facts = {"Letter.Authorisation.Date": day, "Letter.Authorisation.Time": f"{index % 24:02}:{index % 60:02}"}
        facts |= {"Letter.EpisodeOfCareIdentifier": episode(index), "Patient.AlternativeIdentifier": patient}
        referral = {"Letter.Identifier": f"R{index}", "Sender.EANIdentifier": "A", "Receiver.EANIdentifier": "B"}
        yield Outcome("", letter=Letter("REF01", "H0130R", "edifact", facts | referral))
        answer = {"Letter.Identifier": f"A{index}", "Sender.EANIdentifier": "B", "Receiver.EANIdentifier": "A"}
        answer["Referral.Identifier"] = f"R{index}"
        yield Outcome("", letter=Letter("DIS02", "D0233L", "edifact", facts | answer))


def joined(outcomes: Iterator[Outcome]) -> tuple[Flows, IssueLog]:
    found, log = Flows(TABLE), IssueLog()
    for outcome in outcomes:
        found.add(outcome, "corpus", 1, log)
    return found, log


@pytest.mark.parametrize("episode", [lambda i: f"E{i}", lambda i: "", lambda i: "the same"], ids=["own", "none", "one"])
def test_every_answer_finds_its_referral(episode: Callable[[int], str]) -> None:
    """Also where a careless sender writes one episode into all letters: then the letter id decides."""
    found, log = joined(letters(3000, episode=episode))
    rows = list(found.found(date(2026, 1, 1), 90, log))
    assert len(rows) == 3000
    assert all(len(row.answers) == 1 for row in rows)
    assert [i.code for i in log] == []


def test_an_episode_without_letter_ids_does_not_make_it_slow() -> None:
    """No id and one episode for all: only the time is left to choose by, and no answer looks at all referrals."""

    def anonymous() -> Iterator[Outcome]:
        for outcome in letters(4000, episode=lambda i: "the same"):
            assert outcome.letter is not None
            outcome.letter.values.pop("Referral.Identifier", None)
            yield outcome

    found, log = joined(anonymous())
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        rows = list(found.found(date(2026, 1, 1), 90, log))
    finally:
        sys.setprofile(None)
    assert sum(len(row.answers) for row in rows) == 4000
    assert steps < 4000 * 300


def test_memory_is_a_little_for_each_letter() -> None:
    def used(number: int) -> int:
        tracemalloc.start()
        found, log = joined(letters(number, episode=lambda i: f"E{i}"))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(list(found.found(date(2026, 1, 1), 90, log))) == number
        return size

    few, many = used(200), used(1200)
    assert (many - few) / 2000 < 1600


def test_order_of_the_corpus_does_not_matter() -> None:
    made = list(letters(200, episode=lambda i: f"E{i // 3}"))
    results = []
    for seed in (1, 2):
        random.Random(seed).shuffle(made)
        found, log = joined(iter(made))
        results.append(Counter(len(f.answers) for f in found.found(date(2026, 1, 1), 90, log)))
    assert results[0] == results[1] == {1: 200}


def test_letter_of_several_episodes_is_found_by_any() -> None:
    values = {"Letter.Identifier": "R1", "Sender.EANIdentifier": "A", "Receiver.EANIdentifier": "B"}
    values |= {"Letter.Authorisation.Date": "2026-01-01", "Letter.Authorisation.Time": "10:00"}
    path = "Letter.EpisodeOfCare"
    episodes = {f"{path}[1].EpisodeOfCareIdentifier": "E1", f"{path}[2].EpisodeOfCareIdentifier": "E2"}
    referral = Letter("REF01", "H0131R", "oioxml", values | episodes, {path: 2})
    answer = Letter("DIS02", "D0233L", "oioxml", values | {"Letter.EpisodeOfCareIdentifier": "E2"})
    found, log = joined(Outcome("", letter=letter) for letter in (referral, answer))
    (flow,) = found.found(date(2026, 1, 2), 90, log)
    assert [joined_by for _, joined_by in flow.answers] == ["episode"]


def test_episode_is_one_with_and_without_hyphens() -> None:
    hyphens = "2f6b18d9-4ce0-473f-a571-9b3ed8c06401"
    for spelling in (hyphens, hyphens.upper(), f"urn:uuid:{hyphens}"):
        made = list(letters(1, episode=lambda i: hyphens.replace("-", "")))
        assert made[1].letter is not None
        made[1].letter.values |= {"Letter.EpisodeOfCareIdentifier": spelling, "Referral.Identifier": "Ukendt."}
        found, log = joined(iter(made))
        (flow,) = found.found(date(2026, 1, 2), 90, log)
        assert len(flow.answers) == 1
        assert list(log) == []


def test_where_nothing_is_agreed_any_answer_will_do() -> None:
    free = next(row.type for row in TABLE.rows.values() if row.is_referral and not row.answered_by)
    made = list(letters(1, episode=lambda i: "E"))
    assert made[0].letter is not None
    made[0].letter.type = free
    found, log = joined(iter(made))
    (flow,) = found.found(date(2026, 1, 2), 90, log)
    assert flow.as_agreed
    assert list(log) == []


def test_letter_without_its_keys_is_told() -> None:
    made = list(letters(1, episode=lambda i: "E"))
    assert made[0].letter is not None
    del made[0].letter.values["Letter.Identifier"]
    made[0].letter.values["Letter.Authorisation.Date"] = "2020-02-31"
    found, log = joined(iter(made))
    (flow,) = found.found(date(2026, 1, 2), 90, log)
    assert [(i.code, i.message) for i in log] == [("FLW009", "REF01 has no readable letter id and no date")]
    assert len(flow.answers) == 1


# Nobody is found in what is printed, or in what is kept


def planted(canary: Canary, folder: Path) -> None:
    """The fixtures with the canary in every place that holds free data, ids of letter and episode included."""
    for path in _letters():
        data = path.read_bytes()
        for number in (b"2509479989", b"2512489996", b"0703921VJ4"):
            data = data.replace(number, canary.number.encode())
        for word in (
            b"Bruno Test",
            b"Anna Test",
            b"Elmer",
            b"Rygsmerter",
            b"Bedes vurderet",
            b"HENV00011",
            b"HENV00099",
        ):
            data = data.replace(word, canary.name.encode())
        data = data.replace(b"2f6b18d94ce0473fa5719b3ed8c06403", canary.number.encode() + canary.name.encode())
        _put(folder, path, path.suffix, data)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github", "operationoutcome"])
def test_no_value_of_a_letter_is_printed(form: str, tmp_path: Path) -> None:
    canary = canaries(1)[0]
    planted(canary, tmp_path)
    assert any(canary.name.encode() in p.read_bytes() for p in tmp_path.rglob("*.edi"))
    for options in ([], ["--show-values", "--verbose"]):
        done = run(tmp_path, "--on", DAY, "--format", form, *options)
        assert "FLW" in done.stdout
        told = (done.stdout + done.stderr).lower()
        assert [trace for trace in canary.traces() if trace in told] == []


def test_no_value_of_a_bundle_is_printed(engine: Engine, tmp_path: Path) -> None:
    canary = canaries(1)[0]
    planted(canary, tmp_path / "letters")
    for path in sorted((tmp_path / "letters").rglob("*.*")):
        data = convert_one(engine, path)
        assert canary.number.encode() in data
        _put(tmp_path / "bundles", path, ".json", data)
    done = run(tmp_path / "bundles", "--on", DAY, "--show-values", "--verbose")
    assert "FLW" in done.stdout
    assert [trace for trace in canary.traces() if trace in (done.stdout + done.stderr).lower()] == []


def test_nothing_readable_is_kept(engine: Engine, tmp_path: Path) -> None:
    """What a run remembers holds no value of a letter, and the same letter leaves other digests in another run."""
    canary = canaries(1)[0]
    planted(canary, tmp_path)
    kept = []
    for _ in range(2):
        found, log = Flows(TABLE), IssueLog()
        for path in sorted(tmp_path.rglob("*.*")):
            for outcome in engine.letters(path.read_bytes(), name=path.name):
                found.add(outcome, path.name, 1, log)
        messages = list(found._known.values())
        kept.append({m.patient for m in messages})
        written = repr([[getattr(m, slot) for slot in m.__slots__ if slot != "row"] for m in messages]).lower()
        assert [trace for trace in (*canary.traces(), "5790000121526", "epi000") if trace in written] == []
    assert len(kept[0]) == len(kept[1])
    assert not kept[0] & kept[1]
