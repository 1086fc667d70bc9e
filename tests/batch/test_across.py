"""Letters and their attachments in different inputs of a run."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from converter.batch.across import Joining, Looking, across
from converter.batch.ledger import Ledger
from converter.batch.options import Options
from converter.batch.plan import LAST
from converter.batch.running import begin
from converter.issues import IssueLog
from tests.cases import FIXTURES
from tests.test_attachments import FILES, FOREIGN, OF_TWO, TABLE, of, run


def results(folder: Path) -> dict[str, bytes]:
    """The result of a run by file, but for its ledger, which has times."""
    names = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("ledger")]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in names}


def own(number: int, *letters: bytes) -> list[bytes]:
    """Letters whose objects have ids that no other case has."""
    return [
        re.sub(rb"(?i)[ab](?=3c1e5f7|4d2f608)", b"%d" % number, data).replace(b"00071", b"0007%d" % number)
        for data in letters
    ]


def drop(folder: Path) -> None:
    """A drop folder: letters and their files in files of their own, an archive, envelopes; and what goes wrong."""
    folder.mkdir()
    letter, files = own(1, *of(FILES, "edi"))
    (folder / "z-letter.edi").write_bytes(letter)
    (folder / "a-files.edi").write_bytes(files)
    (folder / "alone.edi").write_bytes(own(2, of(FILES, "edi")[1])[0])
    with zipfile.ZipFile(folder / "m.zip", "w") as archive:
        for n, data in enumerate(of(OF_TWO)):
            archive.writestr(f"{2 - n}.xml", data)
    foreign, text = own(3, *of(FOREIGN))
    (folder / "b-letter.xml").write_bytes(foreign)
    (folder / "y-other-patient.xml").write_bytes(text.replace(b"0504909995", b"0201919996"))
    for name, data in zip("qc", own(4, *of(FIXTURES / "letters/REF01/files")), strict=True):
        (folder.parent / f"{name}.xml").write_bytes(data)
        run("convert", folder.parent / f"{name}.xml", "--to", "edifact", "--envelope", "-o", folder / f"{name}.xml")


def test_a_batch_joins_across_its_inputs_with_the_same_bytes_however_it_goes(tmp_path: Path) -> None:
    drop(tmp_path / "in")
    done = run("batch", "run", tmp_path / "in", "-o", tmp_path / "one", "--jobs", "1", *TABLE)
    assert '"in": 6, "ok": 4, "dead": 0, "duplicate": 0, "refused": 2' in done.output
    whole = results(tmp_path / "one")
    issues = json.loads(whole["summary.json"])["issues"]
    told = {code: n for code, n in issues.items() if "MAP040" <= code <= "MAP055" or code == "BAT060"}
    assert told == {"MAP040": 1, "MAP041": 1, "MAP044": 1, "MAP054": 1, "MAP055": 1}
    parts = b"".join(data for name, data in sorted(whole.items()) if name.startswith("parts/")).splitlines()
    assert [line.count(b'"data":') for line in parts] == [0, 3, 2, 2]
    assert json.loads(parts[1]) == json.loads((OF_TWO / "bundle.json").read_bytes())
    assert not list((tmp_path / "one/tmp").iterdir())
    # Stopped after a chunk, and gone on with by more workers.
    stop = ("--max-dead", "0", "--jobs", "1")
    done = run("batch", "run", tmp_path / "in", "-o", tmp_path / "stopped", *stop, *TABLE)
    assert done.exit_code == 3, done.output
    run("batch", "resume", tmp_path / "stopped", "--jobs", "2")
    assert results(tmp_path / "stopped") == whole


def test_only_what_is_concerned_by_attachments_is_read_again(tmp_path: Path) -> None:
    """A letter in two bytes a character could name an object, and so it waits."""
    letter, files = of(FILES, "edi")
    plain = (FIXTURES / "letters/DIS91/minimal/message.edi").read_bytes()
    wide = (FIXTURES / "letters/DIS91/minimal/message.xml").read_text("latin-1").partition("?>")[2].encode("utf-16")
    (tmp_path / "in").mkdir()
    for n, data in enumerate((plain, letter, files, wide, plain)):
        with zipfile.ZipFile(tmp_path / "in" / f"{n}.zip", "w") as archive:
            archive.writestr("x", data)
    options, log = Options(), IssueLog()
    begin(tmp_path / "run", [str(tmp_path / "in")], options, log)
    ledger = Ledger(tmp_path / "run")
    for done in ({}, {(1, 0): LAST, (0, 0): LAST}):
        with across(tmp_path / "run", options) as joining:
            assert isinstance(joining, Joining)
            chunks = [(c.key.source, len(c.pieces), c.later) for c in Looking(joining, ledger.plan, done)]
        first = [(n, 1, n in (1, 2, 3)) for n in range(5)]
        again = [(n, 1, False) for n in (1, 2, 3)]
        if done:  # looked at, and not given
            first[:2], again[:1] = [(0, 0, True), (1, 0, True)], []
        assert chunks == [*first, *again]
    ledger.close()


def test_another_attempt_takes_no_file_for_joined_to_a_letter_that_is_done(tmp_path: Path) -> None:
    """It looks at dead letters only: the letter that names the file was written without it, and stays so."""
    (tmp_path / "in").mkdir()
    letter, files = of(FILES)
    (tmp_path / "in/letter.xml").write_bytes(letter)
    (tmp_path / "in/files.xml").write_bytes(files.replace(b"<ObjectCode>billede", b"<ObjectCode>lyd"))
    run("batch", "run", tmp_path / "in", "-o", tmp_path / "run", *TABLE)
    run("batch", "retry", tmp_path / "run")
    dead = [json.loads(line) for path in sorted((tmp_path / "run/dead").glob("*.ndjson")) for line in path.open()]
    found = sorted((one["attempt"], one["state"], one["code"]) for one in dead)
    assert found == [(1, "refused", "LTR013"), (2, "refused", "LTR013")]
    assert (tmp_path / "run/_SUCCESS").is_file()
