"""An assessment that was stopped ends with the same bytes; what it was not given it says; wrong use is told."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from converter.assessment import running
from converter.assessment.inventory import COLUMNS
from converter.assessment.measures import FILE, Measures
from converter.assessment.report.writing import REPORT
from converter.assessment.running import ASSUMPTIONS, KEY, MANIFEST, OPERATION, SUMMARY, WORK
from converter.assessment.tables import FACTS, TABLES, Keys, read
from converter.batch.options import Options
from converter.engine import Engine
from converter.errors import InterchangeError, MappingError
from converter.issues import Issue, IssueLog, catalog, import_all_kinds
from tests.assessment import conftest, known
from tests.assessment.conftest import Assessed
from tests.assessment.schema import breaches

RESULT = {*(table.file for table in TABLES), SUMMARY, ASSUMPTIONS, OPERATION, MANIFEST}
TOLD = [REPORT, "types.csv", *(f"{table.name}.csv" for table in TABLES)]
SCHEMA = Path(running.__file__).with_name("summary.schema.json")


def same(folder: Path) -> dict[str, bytes]:
    """The bytes of all files but what was measured of the run itself."""
    assert sorted(path.name for path in folder.iterdir()) == sorted([*RESULT, *TOLD])
    measured = (OPERATION, REPORT)  # the report tells how fast it was
    return {name: (folder / name).read_bytes() for name in [*RESULT, *TOLD] if name not in measured}


class Stopping:
    """Interrupts a run when its first chunk is done."""

    def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
        raise KeyboardInterrupt

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        pass

    def found(self, issues: Sequence[Issue]) -> None:
        pass


@pytest.mark.long
@pytest.mark.usefixtures("warm")
def test_stopped_and_gone_on_with_other_workers_it_gives_the_same_bytes(key_file: Path, tmp_path: Path) -> None:
    corpus, folder = tmp_path / "corpus", tmp_path / "result"
    corpus.mkdir()
    made = known.messages(known.UNIT)[1]
    for name in ("a.zip", "b.zip", "c.zip"):  # a chunk each
        with zipfile.ZipFile(corpus / name, "w") as archive:
            for n in range(8):
                archive.writestr(f"{n}.edi", next(made))
    options = Options(to="", keep_duplicates=True)
    wanted = running.Wanted((str(corpus),), options, key_file.read_bytes(), jobs=1)
    running.begin(folder, wanted, IssueLog())
    with pytest.raises(KeyboardInterrupt):
        running.go_on(folder, wanted, Stopping())
    assert (folder / KEY).stat().st_mode & 0o077 == 0
    assert not (folder / SUMMARY).exists()
    refused = conftest.run("assess", "run", corpus, "-o", folder)
    assert (refused.exit_code, "--resume" in refused.output) == (2, True), refused.output
    done = conftest.run("assess", "run", corpus, "-o", folder, "--resume", "--quiet", "--jobs", 2)
    assert done.exit_code == 0, done.output
    whole = conftest.run("assess", "run", corpus, "-o", tmp_path / "whole", "--key-file", key_file, "--jobs", 1)
    assert whole.exit_code == 0, whole.output
    assert "without organisations: nothing about party-names" in whole.output
    assert same(folder) == same(tmp_path / "whole")


def test_the_summary_is_as_its_schema_has_it(assessed: Assessed, root: Path) -> None:
    schema = json.loads(SCHEMA.read_bytes())
    example = json.loads((root / "tests/assessment/summary.example.json").read_bytes())
    assert breaches(schema, example) == []
    assert breaches(schema, assessed.summary) == []
    assert breaches(schema, {**example, "more": 1}) == ["$: unknown more"]
    wrong = {**example, "corpus": {**example["corpus"], "messages": "many"}}
    assert breaches(schema, wrong) == ["$.corpus.messages: str is not ['integer']"]


def test_the_manifest_names_every_file_with_its_digest(assessed: Assessed) -> None:
    manifest = json.loads((assessed.folder / MANIFEST).read_bytes())
    assert {file["name"] for file in manifest["files"]} == RESULT - {OPERATION, MANIFEST}
    for file in manifest["files"]:
        assert file["bytes"] == (assessed.folder / file["name"]).stat().st_size
    assert manifest["key"] == "given"
    assert {"engine", "mappings", "weights"} <= set(manifest)


def test_every_assumption_says_where_it_is_from(assessed: Assessed) -> None:
    assumptions = json.loads((assessed.folder / ASSUMPTIONS).read_bytes())
    origins = {row["name"]: row["origin"] for row in assumptions}
    assert set(origins.values()) == {"measured", "given", "default"}
    assert origins["corpus.messages"] == "measured"
    assert origins["effort.new-type"] == "default"
    assert origins["key"] == "given"


def test_what_the_run_took_is_measured(assessed: Assessed) -> None:
    operation = json.loads((assessed.folder / OPERATION).read_bytes())
    assert operation["messages"] == assessed.known.messages
    assert operation["core_hours_a_million"] > 0
    assert operation["memory_of_a_worker"] > 1e6


def test_what_was_not_given_is_said_with_what_that_hides(assessed: Assessed) -> None:
    missing = {row["input"]: row["hides"] for row in assessed.summary["missing_inputs"]}
    assert set(missing) == {"costs", "inventory", "organisations"}
    assert "party-names" in missing["organisations"]
    assert {row["name"] for row in assessed.summary["parties"]} == {""}
    assert assessed.summary["not_assessed"]
    assert assessed.summary["automation"]["classes"]["A"] == 0, "without the table nothing is automatic"


@pytest.mark.usefixtures("warm")
def test_parties_are_named_and_systems_certified_by_what_is_given(root: Path, key_file: Path, tmp_path: Path) -> None:
    rows = [
        ("A", "V", "", "EDIFACT", "", "DIS91@D9134L", "yes", "no", "yes", ""),
        ("A", "V", "", "OIOXML", "", "XDIS91@XD9134L", "yes", "yes", "yes", ""),
        ("B", "W", "", "EDIFACT", "", "DIS91@D9134L", "no", "yes", "yes", ""),
        ("C", "W", "", "EDIFACT", "", "DIS91@D9134L", "yes", "yes", "no", ""),
        ("C", "W", "", "FHIR", "", "FDIS91@5.0", "yes", "yes", "yes", ""),
    ]
    (tmp_path / "inventory.csv").write_text("\n".join(",".join(row) for row in (COLUMNS, *rows)), encoding="utf-8")
    corpus, table = root / "fixtures/letters/DIS91/plain", root / "fixtures/organisations.csv"
    words = ("assess", "run", corpus, "-o", tmp_path / "result", "--sor", table, "--key-file", key_file, "--quiet")
    done = conftest.run(*words, "--jobs", 1, "--inventory", tmp_path / "inventory.csv")
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "result" / SUMMARY).read_bytes())
    keys = Keys(key_file.read_bytes())
    names = {row["party"]: row["name"] for row in summary["parties"]}
    assert names[keys.party("5790000120314")] == "Nordfjord Sygehus, Medicinsk Afdeling"
    assert names[keys.party("5790000121526")] == ""
    assert {row["input"] for row in summary["missing_inputs"]} == {"costs", "receipts", "attachments"}
    assert summary["messaging"]["receipts"]["missing"] == 0, "without any receipt nobody can say which are missing"
    # Both syntaxes are one letter that came twice; its Bundle, which comes first, lacks what was lost on the way.
    assert [row["copy"] for row in read(tmp_path / "result" / FACTS.file, FACTS)] == [False, False, True]
    by_type = [{"type": "DIS91", "sends": 1, "receives": 2, "fhir": 1}]
    assert summary["inventory"] == {"systems": 3, "vendors": 2, "by_type": by_type}
    (certified,) = (row for row in summary["effort"]["rows"] if row["kind"] == "certification")
    assert (certified["count"], certified["points"], certified["finding"]) == (2, 10, "volume::DIS91:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "no such file"),
        ((".", "--key-file", "KEY"), "a key needs 32"),
        ((".", "--make-key"), "--key-file"),
        ((".", "--resume"), "not finished"),
        ((".", "--master", "local[2]"), "only with --engine spark"),
        ((".", "--engine", "spark", "--jobs", "2"), "not with --engine spark"),
    ],
)
def test_wrong_use_is_told(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "corpus").mkdir()
    places = {".": tmp_path / "corpus", "nowhere": tmp_path / "nowhere", "KEY": tmp_path / "key"}
    done = conftest.run("assess", "run", *(places.get(word, word) for word in words), "-o", tmp_path / "result")
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert not (tmp_path / "result" / WORK).exists()


def test_another_key_cannot_go_on(root: Path, key_file: Path, tmp_path: Path) -> None:
    corpus = (str(root / "fixtures/letters/DIS91/plain"),)
    options = Options(to="", keep_duplicates=True)
    running.begin(tmp_path / "result", running.Wanted(corpus, options, key_file.read_bytes()), IssueLog())
    with pytest.raises(InterchangeError, match="not the same key"):
        running.go_on(tmp_path / "result", running.Wanted(corpus, options, b"x" * 32), Stopping())
    (tmp_path / "result" / KEY).unlink()
    with pytest.raises(InterchangeError, match="is gone"):
        running.go_on(tmp_path / "result", running.Wanted(corpus, options), Stopping())


def test_the_measures_are_read_and_their_faults_named(root: Path, tmp_path: Path) -> None:
    measures = Measures.load(root / "mappings")
    assert measures.of_cluster(0.5) >= measures.of_cluster(0.0001)
    assert measures.issue_driver("EDI035") == "messaging"
    assert measures.issue_driver("EDI101") == "model"
    text = (root / "mappings" / FILE).read_text(encoding="utf-8")
    for old, new, said in (
        ("not_assessed:", "not_asessed:", "unknown key"),
        ('{receipt: "120"', '{receipt: "soon"', "must be a number"),
        ("{driver: model, codes: [LTR030", "{driver: mood, codes: [LTR030", "must be one of"),
        ('{share: "0", ', '{share: "0.5", ', "share 0"),
        ("retentions:\n", "retentions: none\nretention:\n", "must be a list"),
    ):
        assert old in text
        (tmp_path / FILE).write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(MappingError) as raised:
            Measures.load(tmp_path)
        assert any(said in issue.message and issue.code == "LNT289" for issue in raised.value.issues), said
    with pytest.raises(InterchangeError, match="there is no"):
        Measures.load(tmp_path / "nowhere")


def test_codes_and_losses_that_the_measures_name_exist(root: Path) -> None:
    import_all_kinds()
    codes, losses = set(catalog()), set(Engine(root / "mappings").mappings.losses)
    measures = Measures.load(root / "mappings")
    needs = [one.need for one in (*measures.quality, *measures.changes)]
    assert {code for need in needs for code in need.codes} <= codes
    assert {loss for need in needs for loss in need.losses} <= losses
    assert set(measures.unmapped) | set(measures.unplaced) | set(measures.table_losses) <= losses
    starts = (*measures.structure, *measures.invalid, *measures.invalid_fhir, *measures.table_issues)
    assert [start for start in starts if not any(code.startswith(start) for code in codes)] == []


def test_a_folder_with_other_files_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    done = conftest.run("assess", "run", root / "fixtures/letters/DIS91/plain", "-o", tmp_path)
    assert (done.exit_code, "files already" in done.output) == (2, True), done.output
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_that_is_no_inventory_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "inventory.csv").write_text("no,inventory\n", encoding="utf-8")
    words = ("assess", "run", root / "fixtures/letters/DIS91/plain", "-o", tmp_path / "result")
    done = conftest.run(*words, "--inventory", tmp_path / "inventory.csv")
    assert (done.exit_code, "is no inventory" in done.output) == (2, True), done.output
