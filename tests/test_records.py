"""The ledger file, the sidecar and the state store: their shapes, and that only the sidecar holds values."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from converter.errors import SinkError
from converter.issues import Location
from converter.ledger import Disposition, Entry, Ledger
from converter.letter import Letter, Value
from converter.originals import COLUMNS, Received
from converter.records import LedgerFile, Sidecar, State
from converter.sinks import OutputRefusedError

CANARY = "Canary Testesen"


@dataclass
class Result:
    """What the records use of an outcome."""

    message: str = "m1"
    type: str = "DIS91"
    version: str = "D9134L"
    ledger: Ledger | None = None
    ids: dict[str, str] = field(default_factory=dict)
    target_leaves: int = 0

    @property
    def group(self) -> Iterator[tuple[Letter, dict[str, str]]]:
        if self.ids:
            yield Letter(self.type, self.version, "edifact"), self.ids


def ledger() -> Ledger:
    entries = [
        Entry("Patient.PersonSurnameName", Disposition.MAPPED, "patient.family", "/entry/3/resource/name/0/family"),
        Entry("Letter.VersionCode", Disposition.KEPT, "version", "", "ALL-02"),
    ]
    return Ledger(2, entries, [Entry("", Disposition.DEFAULTED, "topic", "/entry/1/resource/topic", "C91-12")])


def test_the_ledger_file_has_a_line_a_message_and_a_line_a_leaf(tmp_path: Path) -> None:
    with LedgerFile(tmp_path / "l.jsonl", force=False) as file:
        file.add("in/a.edi", Result(ledger=ledger(), target_leaves=40), lambda leaf: Location("in/a.edi", 7, 3))  # type: ignore[arg-type]
        file.add("in/b.edi", Result(), lambda leaf: Location())  # type: ignore[arg-type]
        file.finish()
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "message": "m1",
        "input": "in/a.edi",
        "type": "DIS91",
        "version": "D9134L",
        "leaves": 2,
        "totals": {"kept": 1, "mapped": 1},
        "target_leaves": 40,
        "defaulted": [{"rule": "topic", "target": "/entry/1/resource/topic", "loss": "C91-12"}],
    }
    assert lines[1] == {
        "message": "m1",
        "path": "Patient.PersonSurnameName",
        "line": 7,
        "column": 3,
        "disposition": "mapped",
        "rule": "patient.family",
        "target": "/entry/3/resource/name/0/family",
        "loss": "",
    }
    assert lines[2]["loss"] == "ALL-02"
    assert len(lines) == 3


def test_a_ledger_file_appears_only_when_complete_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    with pytest.raises(KeyboardInterrupt), LedgerFile(path, force=False):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    path.write_bytes(b"old")
    with pytest.raises(OutputRefusedError):
        LedgerFile(path, force=False)
    with LedgerFile(path, force=True) as file:
        file.finish()
    assert path.read_bytes() == b""


def test_the_sidecar_gives_back_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "side.json"
    kept: dict[str, Value] = {"Letter.VersionCode": "XD9134L", "Text": (("P00", CANARY), ("PF0", "æøå\n"))}
    sidecar = Sidecar(path)
    sidecar.add("m1", kept)
    sidecar.finish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sidecar(path).kept == {"m1": kept}
    more = Sidecar(path)
    more.add("m2", {"a": "b"})
    more.add("m3", {})
    more.finish()
    assert set(Sidecar(path).kept) == {"m1", "m2"}


def test_the_sidecar_keeps_the_values_of_both_directions_and_forgets_old_ones(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path / "side.json")
    for kept in ({"Letter.A": "1", "Letter.B": "2"}, {"/entry/0": "3"}, {"Letter.A": "4"}):
        sidecar.add("m1", kept)
    assert sidecar.kept == {"m1": {"/entry/0": "3", "Letter.A": "4"}}


def test_the_sidecar_is_only_read_when_nothing_new_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "side.json"
    sidecar = Sidecar(path)
    sidecar.add("m1", {"a": "b"})
    sidecar.finish()
    before = path.stat().st_mtime_ns
    again = Sidecar(path)
    again.add("m1", {"a": "b"})
    again.finish()
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"format": "medcom-fhir sidecar 2", "messages": {}}',
        b'{"format": "medcom-fhir sidecar 1", "messages": []}',
        b'{"format": "medcom-fhir sidecar 1", "messages": {"m": {"a": 1}}}',
        b'{"format": "medcom-fhir sidecar 1", "messages": {"m": {"a": [["P00"]]}}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_sidecar_is_wrong_use(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    with pytest.raises(OutputRefusedError, match="no sidecar file"):
        Sidecar(tmp_path / "s")


IDS = {
    "envelope_id": "K1",
    "letter_id": "B1",
    "version_code": "XD9134L",
    "sender": "5790000120314",
    "receiver": "5790001382445",
    "bundle_id": "b",
    "message_header_id": "h",
    "provenance_id": "p",
    "group_id": "g",
}


NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
AS_STORED = {"message": "m1", "type": "DIS91", "version": "D9134L", **IDS, "converted": "2026-09-30T12:00:00+00:00"}


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of the store, without columns that hold nothing."""
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute("SELECT * FROM message ORDER BY number")]
    return [{name: value for name, value in row.items() if value and name != "number"} for row in found]


def test_the_state_holds_a_row_a_message_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with State(path, NOW) as state:
        state.add(Result(ids={**IDS, "patient_name": CANARY}))  # type: ignore[arg-type]
        state.add(Result(message="refused"))  # type: ignore[arg-type]
        state.finish()
    assert rows(path) == [AS_STORED]
    assert CANARY.encode() not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [c for c in COLUMNS if "patient" in c or "text" in c]


def test_a_message_that_comes_again_updates_its_row_and_keeps_what_is_not_known_now(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for ids in (IDS, {"letter_id": "B1", "provenance_id": "p2"}):
        with State(path, NOW) as state:
            state.add(Result(ids=ids))  # type: ignore[arg-type]
            state.finish()
    assert rows(path) == [AS_STORED | {"provenance_id": "p2"}]


def test_a_state_of_the_first_shape_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 0x4D434648")
        database.execute("PRAGMA user_version = 1")
        columns = ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in ("type", "version", *IDS))
        database.execute(f"CREATE TABLE message (message TEXT PRIMARY KEY, {columns}) WITHOUT ROWID")
        marks = ", ".join("?" * (3 + len(IDS)))
        database.execute(f"INSERT INTO message VALUES ({marks})", ("m1", "DIS91", "D9134L", *IDS.values()))
    database.close()
    with State(path, NOW) as state:
        assert [one.letter_id for one in state.letters("h")] == ["B1"]
        state.finish()
    assert rows(path) == [AS_STORED]


def test_a_state_forgets_what_is_too_old_and_its_receipts(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with State(path, NOW) as state:
        state.add(Result(ids=IDS))  # type: ignore[arg-type]
        (original,) = state.named("B1", "5790000120314")
        assert state.in_envelope("K1", "5790000120314") == [original]
        assert state.receive(original, Received("r1", "t", "v", CANARY)) is None
        assert state.receive(original, Received("r2", "t", "v", CANARY)) == Received("r1", "t", "v", CANARY)
        state.finish()
    with State(path, datetime(2026, 12, 30, 12, tzinfo=UTC)) as state:
        state.forget(3)
        assert state.received(original) is not None
    with State(path, datetime(2026, 12, 30, 12, 0, 1, tzinfo=UTC)) as state:
        state.forget(3)
        assert state.named("B1", "5790000120314") == []
        assert state.received(original) is None
        state.finish()
    assert CANARY.encode() not in path.read_bytes()


def test_a_message_that_comes_again_is_receipted_anew(tmp_path: Path) -> None:
    with State(tmp_path / "state.db", NOW) as state:
        state.add(Result(message="h", ids=IDS))  # type: ignore[arg-type]
        (original,) = state.letters("h")
        state.receive(original, Received("r1", "t", "v", "{}"))
        state.add(Result(message="h", ids=IDS | {"envelope_id": "K2"}))  # type: ignore[arg-type]
        (again,) = state.letters("h")
        assert (again.envelope_id, state.received(again)) == ("K2", None)


def test_a_state_that_breaks_off_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    def break_off() -> None:
        with State(path) as state:
            state.add(Result(ids=IDS))  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert rows(path) == []


def test_other_files_are_no_state(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database at all" * 100)
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE t (a)")
    for name in ("text", "other.db"):
        with pytest.raises(OutputRefusedError, match="no state file"):
            State(tmp_path / name)


def test_a_state_that_is_locked_or_cannot_be_made_is_a_fault_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SinkError):
        State(tmp_path / "no" / "such" / "folder")
    path = tmp_path / "state.db"
    State(path).finish()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda p, timeout: connect(p, timeout=0.05))
    other = connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SinkError) as caught, State(path) as state:
        state.add(Result(ids=IDS))  # type: ignore[arg-type]
    assert not isinstance(caught.value, OutputRefusedError)
    other.close()
