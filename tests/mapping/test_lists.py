"""`medcom-fhir diff` of two code lists, and of two days of one list."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.rehearsal.folders import copied, run
from tests.rehearsal.test_comparing import TABLE, changes

ROW = "class: AMB, status: in-progress"


def commit(folder: Path, date: str) -> None:
    when = {**os.environ, "GIT_COMMITTER_DATE": f"{date}T12:00:00Z", "GIT_AUTHOR_DATE": f"{date}T12:00:00Z"}
    who = ("-c", "user.name=A Test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", date)):
        subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, env=when)


def test_two_lists_and_two_days_of_one_list_name_the_same_fields_and_messages(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    file = folder / "codes/episode-status.yaml"
    commit(tmp_path, "2026-01-10")
    before = file.read_text(encoding="utf-8")
    assert before.count(ROW) == 1
    file.write_text(before.replace(ROW, ROW.replace("in-progress", "onleave")), encoding="utf-8")
    commit(tmp_path, "2026-03-10")
    old = tmp_path / "old.yaml"
    old.write_text(before, encoding="utf-8")
    by_files = changes(folder, old, file)
    name = "codes/episode-status.yaml"
    assert changes(folder, f"{name}@2026-02-01", f"{name}@2026-04-01") == by_files
    assert {c["path"] for c in by_files if c["change"] == "field"} >= {"Encounter.status"}
    assert changes(folder, f"{name}@2026-03-10", file) == []


def test_what_is_no_list_of_the_mapping_files_is_wrong_use(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (tmp_path / "x.yaml").write_text("codes: nothing\ncolumns: {}\nrows: []\n")
    options = ("--mappings", folder, "--corpus", tmp_path / "fixtures", *TABLE)
    assert run("diff", tmp_path / "x.yaml", folder, *options).exit_code == 2
    commit(tmp_path, "2026-01-10")
    assert run("diff", "codes/roles.yaml@2020-01-01", folder, *options).exit_code == 2
