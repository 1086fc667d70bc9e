"""Outputs: which file a message goes to, whole or not at all, and that no name leads out of the folder."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from converter.errors import SinkError
from converter.issues import IssueKind, IssueLog, Severity
from converter.ledger import Disposition, Entry, Ledger
from converter.sinks import AtomicFile, Names, OutputRefusedError, Summary, clean, sink_for, write_file


@dataclass
class Result:
    """What a sink uses of an outcome."""

    output: bytes | None
    suffix: str = ".json"
    bundle: dict[str, Any] | None = None
    type: str = "DIS91"
    ledger: Ledger | None = None
    issues: list[Any] = field(default_factory=list)
    pair: object = None
    joined: bool = False
    in_line: bool = False


def bundle(number: int) -> Result:
    content = {"resourceType": "Bundle", "n": number}
    return Result(json.dumps(content, indent=2).encode() + b"\n", ".json", content)


def letter(number: int, suffix: str = ".xml") -> Result:
    return Result(b"<letter%d/>\n" % number if suffix == ".xml" else b"UNB+%d'" % number, suffix)


def write(
    output: str | None, *results: tuple[str, Result], inputs: list[str] | None = None, force: bool = False
) -> None:
    with sink_for(output, inputs or [], force=force) as sink:
        for name, result in results:
            if result.output is None:
                sink.pass_over(name)
            else:
                sink.write(name, result)  # type: ignore[arg-type]
        sink.finish(Summary())


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("output", [None, "-"])
def test_one_bundle_on_stdout_is_json_and_several_are_ndjson(
    capfdbinary: pytest.CaptureFixture[bytes], output: str | None
) -> None:
    write(output, ("a", bundle(1)))
    assert capfdbinary.readouterr().out == bundle(1).output
    write(output, ("a", bundle(1)), ("b", bundle(2)), ("c", bundle(3)))
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, 2, 3]


def test_several_letters_on_stdout_follow_one_another(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write(None, ("a", letter(1, ".edi")), ("b", letter(2, ".edi")))
    assert capfdbinary.readouterr().out == b"UNB+1'\nUNB+2'\n"


def test_ndjson_and_edi_take_any_number(tmp_path: Path) -> None:
    write(str(tmp_path / "x.ndjson"), ("a", bundle(1)), ("a", bundle(2)))
    assert [json.loads(line)["n"] for line in (tmp_path / "x.ndjson").read_bytes().splitlines()] == [1, 2]
    write(str(tmp_path / "x.edi"), ("a", letter(1, ".edi")), ("b", letter(2, ".edi")))
    assert (tmp_path / "x.edi").read_bytes() == b"UNB+1'UNB+2'"


def test_json_takes_one_bundle_and_of_several_writes_none(tmp_path: Path) -> None:
    write(str(tmp_path / "x.json"), ("a", bundle(1)))
    assert (tmp_path / "x.json").read_bytes() == bundle(1).output
    with pytest.raises(OutputRefusedError, match=r"use \.ndjson or a folder"):
        write(str(tmp_path / "y.json"), ("a", bundle(1)), ("b", bundle(2)))
    assert os.listdir(tmp_path) == ["x.json"]


def test_several_letters_to_xml_are_numbered(tmp_path: Path) -> None:
    write(str(tmp_path / "x.xml"), *((f"{n}", letter(n)) for n in (1, 2, 3)))
    assert tree(tmp_path) == {"x.xml": b"<letter1/>\n", "x-2.xml": b"<letter2/>\n", "x-3.xml": b"<letter3/>\n"}


@pytest.mark.parametrize(
    ("name", "result"), [("x.json", letter(1)), ("x.ndjson", letter(1)), ("x.xml", bundle(1)), ("x.edi", bundle(1))]
)
def test_a_suffix_that_does_not_fit_is_refused(tmp_path: Path, name: str, result: Result) -> None:
    with pytest.raises(OutputRefusedError):
        write(str(tmp_path / name), ("a", result))
    assert os.listdir(tmp_path) == []


def test_unknown_suffixes_are_refused_but_existing_folders_may_have_one(tmp_path: Path) -> None:
    with pytest.raises(OutputRefusedError, match="without suffix"):
        write(str(tmp_path / "x.txt"), ("a", bundle(1)))
    (tmp_path / "run.d").mkdir()
    write(str(tmp_path / "run.d"), ("a", bundle(1)))
    write(str(tmp_path / "new.d") + "/", ("a", bundle(1)))
    assert set(tree(tmp_path)) == {"run.d/a.json", "run.d/summary.json", "new.d/a.json", "new.d/summary.json"}


def test_a_folder_gets_a_file_a_message_named_after_its_input(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    write(
        str(out),
        ("DIS91/plain/message.edi", bundle(1)),
        ("two.edi", bundle(2)),
        ("two.edi", bundle(3)),
        ("three.edi", Result(None)),
        ("three.edi", bundle(4)),
        ("b.json", letter(5)),
    )
    assert set(tree(out)) == {
        "DIS91/plain/message.edi.json",
        "two.edi.json",
        "two.edi-2.json",
        "three.edi-2.json",
        "b.json.xml",
        "summary.json",
    }


def test_names_that_meet_get_their_own_files(tmp_path: Path) -> None:
    same = ["a", "a", "a-2", "a-2.json/b", "summary", "summary.json/x", "a.json/c"]
    write(str(tmp_path), *((name, bundle(n)) for n, name in enumerate(same)))
    files = tree(tmp_path)
    assert len(files) == len(same) + 1
    assert {json.loads(v)["n"] for k, v in files.items() if k != "summary.json"} == set(range(len(same)))


HOSTILE = {
    "../../up": ("__", "__", "up"),
    "/etc/passwd": ("etc", "passwd"),
    "..\\..\\up": ("__", "__", "up"),
    "C:\\Windows\\x": ("C_", "Windows", "x"),
    "a\0b\x1b[31m\n\u202ec": ("a_b_[31m__c",),
    "": ("_",),
    "./././": ("_",),
    "..": ("__",),
    "a//b/./c": ("a", "b", "c"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_cleaned(name: str) -> None:
    assert clean(name) == HOSTILE[name]


@pytest.mark.parametrize(
    "name", [*HOSTILE, "n" * 4096, "æ" * 4096, "d/" * 2048 + "x", "\udcff\udc00", "\ud800", "x" * 300]
)
def test_hostile_names_never_leave_the_folder(tmp_path: Path, name: str) -> None:
    out = tmp_path / "deep" / "out"
    write(str(out), (name, bundle(1)), (name, bundle(2)))
    inside = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(inside) == 3
    assert all(p.resolve().is_relative_to(out) for p in inside)


def test_ordinary_names_are_kept_as_they_are() -> None:
    assert clean("År 2026/brev nr. 1 (kopi).edi") == ("År 2026", "brev nr. 1 (kopi).edi")


def test_a_link_in_the_output_folder_does_not_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputRefusedError, match="leads out"):
        write(str(tmp_path / "out"), ("sub/a", bundle(1)))
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("name", ["x.json", "x.ndjson", "x.xml", "x.edi", "out"])
def test_what_exists_is_replaced_only_with_force(tmp_path: Path, name: str) -> None:
    result = {"x.xml": letter(1), "x.edi": letter(1, ".edi")}.get(name, bundle(1))
    target = str(tmp_path / name)
    write(target, ("a", result))
    before = tree(tmp_path)
    with pytest.raises(OutputRefusedError, match="--force"):
        write(target, ("a", result))
    assert tree(tmp_path) == before
    write(target, ("a", result), force=True)
    assert tree(tmp_path) == before


def test_a_second_numbered_file_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x-2.xml").write_bytes(b"mine")
    with pytest.raises(OutputRefusedError):
        write(str(tmp_path / "x.xml"), ("a", letter(1)), ("b", letter(2)))
    assert (tmp_path / "x-2.xml").read_bytes() == b"mine"


def test_an_output_inside_an_input_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    for output in ("in/out", "in", "in/x.ndjson", "alias/out", "in/../in/out"):
        with pytest.raises(OutputRefusedError, match="inside the input folder"):
            write(str(tmp_path / output), inputs=[str(tmp_path / "in")])
    write(str(tmp_path / "out"), ("a", bundle(1)), inputs=[str(tmp_path / "in")])


def test_an_input_is_never_its_own_output(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"{}")
    with pytest.raises(OutputRefusedError, match="one of the inputs"):
        write(str(tmp_path / "x.json"), ("a", bundle(1)), inputs=[str(tmp_path / "x.json")], force=True)
    assert (tmp_path / "x.json").read_bytes() == b"{}"


def test_outputs_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    write(str(tmp_path / "out"), ("sub/a", bundle(1)))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out", *(tmp_path / "out").rglob("*"))}
    assert modes == {"out": 0o700, "sub": 0o700, "a.json": 0o600, "summary.json": 0o600}


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def break_off() -> None:
        with sink_for(str(tmp_path / "x.ndjson"), []) as sink:
            sink.write("a", bundle(1))  # type: ignore[arg-type]
            assert os.listdir(tmp_path) != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x.json", "x.ndjson", "out"])
def test_a_full_disk_is_a_sink_error_and_leaves_nothing_half(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SinkError, match="No space left") as caught:
        write(str(tmp_path / name), ("a", bundle(1)))
    assert not isinstance(caught.value, OutputRefusedError)
    assert tree(tmp_path) == {}


def test_special_files_are_written_to_and_never_replaced(tmp_path: Path) -> None:
    file = AtomicFile(Path("/dev/null"), force=False)
    file.write(b"x")
    file.commit()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_file(tmp_path / "link", b"new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_the_summary_counts_types_by_disposition_and_issues_by_code(tmp_path: Path) -> None:
    kind = IssueKind("EDI999", "invented", Severity.ERROR, "x", "y", "z")
    log = IssueLog()
    log.add(kind, count=3)
    entries = [Entry("a", Disposition.MAPPED), Entry("b", Disposition.KEPT), Entry("c", Disposition.MAPPED)]
    summary = Summary(skipped=4)
    summary.count(log)
    result = bundle(1)
    result.ledger = Ledger(3, entries, [Entry("", Disposition.DEFAULTED)])
    summary.add(result)  # type: ignore[arg-type]
    summary.add(Result(None))  # type: ignore[arg-type]
    with sink_for(str(tmp_path / "out"), []) as sink:
        sink.finish(summary)
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes()) == {
        "messages": {"written": 1, "refused": 1, "skipped": 4},
        "types": {"DIS91": {"messages": 2, "mapped": 2, "kept": 1, "defaulted": 1}},
        "issues": {"EDI999": 3},
    }


def test_names_are_the_same_on_every_run() -> None:
    first, second = Names(), Names()
    labels = ["b/a", "a", "a", "b/a"]
    assert [first.next(n, ".json") for n in labels] == [second.next(n, ".json") for n in labels]
