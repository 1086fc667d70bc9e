"""The fixtures as a conformance pack for any converter between MedCom's letters and FHIR: where it does otherwise.

A converter is a command that reads one file (a folder for a letter with attachments) and writes another, in the form
that its suffix names: `.json` a FHIR Bundle, `.xml` an OIOXML letter, `.edi` an EDIFACT interchange.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.engine import Engine
from converter.issues import Severity
from converter.letter import Letter
from converter.rehearsal.differences import of_json

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
TABLE = FIXTURES / "organisations.csv"
SECONDS = 120
Converter = Callable[[Path, Path], None]
"""Converts a file, or a folder with a letter and its attachments, into a file; whatever it raises is a failure."""


@dataclass(frozen=True)
class Item:
    """One conversion: what goes in, the suffix of what comes out, and the golden file; None where none may come out.

    `apart`: leaves of the golden letter that need not come back. `attachments`: letters with objects that must come.
    """

    name: str
    inputs: tuple[Path, ...]
    suffix: str
    golden: Path | None
    apart: frozenset[str] = frozenset()
    attachments: tuple[Path, ...] = ()


@dataclass
class Result:
    """What came of an item: `problem` if nothing can be compared; else the places that differ, by group."""

    item: Item
    problem: str = ""
    differences: list[tuple[str, str]] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)

    @property
    def passed(self) -> bool:
        """Whether it is as the golden file has it."""
        return not self.problem and not self.differences


# -- what is asked -----------------------------------------------------------------------------------------------------


def items(top: Path = FIXTURES) -> Iterator[Item]:
    """All conversions of the pack: to FHIR, back, from messages written in FHIR, and between the two syntaxes."""
    for folder in sorted({path.parent for path in top.glob("letters/*/*/message.*")}):
        yield from _letter(folder, top)
    for path in sorted(top.glob("bundles/*/*/message.json")):
        letter = path.with_name("letter.xml")
        name = path.parent.relative_to(top).as_posix()
        yield Item(f"{name}: written in FHIR", (path,), ".xml", letter if letter.is_file() else None)
    for path in sorted(top.glob("legacy/*/*/message.edi")):
        yield from _twins(path.parent, top)


def _letter(folder: Path, top: Path) -> Iterator[Item]:
    name = folder.relative_to(top).as_posix()
    bundle, back = folder / "bundle.json", folder / "back.txt"
    golden = bundle if bundle.is_file() else None
    for message in sorted(folder.glob("message.*")):
        beside = tuple(sorted(folder.glob(f"attachment*{message.suffix}")))
        yield Item(f"{name}: {message.suffix[1:]} to FHIR", (message, *beside), ".json", golden)
    letter = folder / "message.xml"
    if golden is not None and letter.is_file():
        lines = back.read_text(encoding="utf-8").splitlines() if back.is_file() else []
        beside = tuple(sorted(folder.glob("attachment*.xml")))
        yield Item(f"{name}: FHIR to xml", (bundle,), ".xml", letter, frozenset(x.split()[-1] for x in lines), beside)
    if (folder / "message.edi").is_file():
        yield from _twins(folder, top)


def _twins(folder: Path, top: Path) -> Iterator[Item]:
    name, edi, xml = folder.relative_to(top).as_posix(), folder / "message.edi", folder / "message.xml"
    if xml.is_file():
        yield Item(f"{name}: edi to xml", (edi,), ".xml", xml)
        yield Item(f"{name}: xml to edi", (xml,), ".edi", edi)


# -- what is done ------------------------------------------------------------------------------------------------------


def command(template: str) -> Converter:
    """The converter that a command line with `{in}` and `{out}` (and `{table}`, the organisations) is.

    Raises `ValueError` where one of the first two is missing.
    """
    if "{in}" not in template or "{out}" not in template:
        raise ValueError("the command needs {in} and {out}, as in: CMD='other-converter {in} {out}'")

    def convert(source: Path, target: Path) -> None:
        values = {"{in}": str(source), "{out}": str(target), "{table}": str(TABLE)}
        words = [re.sub(r"\{(in|out|table)\}", lambda m: values[m[0]], word) for word in shlex.split(template)]
        subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)

    return convert


def run(item: Item, convert: Converter, work: Path, engine: Engine) -> Result:
    """Have an item converted in a folder of its own, and compare what came."""
    work.mkdir(parents=True)
    source, target = _given(item, work), work / f"out{item.suffix}"
    try:
        convert(source, target)
    except Exception as error:  # noqa: BLE001 - whatever a converter fails with is its result
        return Result(item, f"failed ({type(error).__name__})")
    if item.golden is None:
        return Result(item, "converted, and should have been refused" if target.is_file() else "")
    if not target.is_file():
        return Result(item, "nothing was written")
    if item.suffix == ".json":
        return _bundles(item, target)
    return _letters(item, target, engine)


def _given(item: Item, work: Path) -> Path:
    """The input under a name that says nothing about the golden file; several in a folder."""
    if len(item.inputs) == 1:
        return Path(shutil.copy(item.inputs[0], work / f"in{item.inputs[0].suffix}"))
    folder = work / "in"
    folder.mkdir()
    for path in item.inputs:
        shutil.copy(path, folder / path.name)
    return folder


# -- what is compared --------------------------------------------------------------------------------------------------


def _bundles(item: Item, target: Path) -> Result:
    assert item.golden is not None
    try:
        was, now = (comparable(json.loads(path.read_bytes())) for path in (item.golden, target))
    except (ValueError, AttributeError, TypeError, KeyError):
        return Result(item, "no FHIR Bundle was written")
    found = [(difference.path.split("/")[1].partition("#")[0], difference.path) for difference in of_json(was, now)]
    return Result(item, differences=found, groups={name.partition("#")[0] for name in was})


_URN = re.compile(r"urn:uuid:[0-9a-f-]{36}\Z")


def comparable(bundle: dict[str, Any]) -> dict[str, Any]:
    """A Bundle as two converters can agree on it: each resource under its type and number, ids by what they stand for.

    Ids, narratives, profiles and the identifier of our own Bundles are the converter's own (test protocol, intro).
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in bundle["entry"]:
        resource = entry["resource"]
        type_ = resource["resourceType"]
        counts[type_] += 1
        name = f"{type_}#{counts[type_]}"
        names[f"{type_}/{resource.get('id')}"] = names[str(entry.get("fullUrl"))] = name
    urns: dict[str, str] = {}

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: plain(v, k) for k, v in sorted(value.items()) if k not in ("id", "meta")}
        if isinstance(value, list):
            return [plain(v, key) for v in value]
        if key == "reference" and isinstance(value, str):
            return names.get(value, value)
        if isinstance(value, str) and _URN.match(value):
            return urns.setdefault(value, f"urn#{len(urns) + 1}")
        return value

    head = {k: plain(v, k) for k, v in sorted(bundle.items()) if k not in ("entry", "id", "identifier", "meta")}
    found = {"Bundle": head}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        name = names[f"{resource['resourceType']}/{resource.get('id')}"]
        found[name] = plain({k: v for k, v in resource.items() if k != "text"})
    return found


def _letters(item: Item, target: Path, engine: Engine) -> Result:
    assert item.golden is not None
    (was, _), (now, problem) = (_read(path, engine) for path in (item.golden, target))
    if was is None or now is None:
        return Result(item, problem)
    leaves = sorted(leaf for leaf in {*was.values, *now.values} if was.values.get(leaf) != now.values.get(leaf))
    found = [(leaf.partition(".")[0].partition("[")[0], leaf) for leaf in leaves if leaf not in item.apart]
    if was.type != now.type or (was.version != now.version):
        found.append(("Letter", "type or version"))
    have = {str(v) for path in target.parent.glob("out-*") for v in _contents(path, engine)}
    for path in item.attachments:
        missing = len({str(v) for v in _contents(path, engine)} - have)
        found += [("BinaryObject", f"{path.name}: {missing} objects")] if missing else []
    groups = {leaf.partition(".")[0].partition("[")[0] for leaf in was.values}
    return Result(item, differences=found, groups=groups | ({"BinaryObject"} if item.attachments else set()))


def _read(path: Path, engine: Engine) -> tuple[Letter | None, str]:
    """The letter in a file, and what keeps it from being one."""
    outcomes = [o for o in engine.messages(path.read_bytes(), name=path.name) if o.letter is not None]
    if len(outcomes) != 1 or outcomes[0].letter is None or outcomes[0].letter.refused:
        return None, "no letter of a known type and version was written"
    letter = outcomes[0].letter
    extra = f", {len(letter.extras)} values without a place" if letter.extras else ""
    errors = [issue.code for issue in outcomes[0].issues if issue.severity is Severity.ERROR]
    return (None, f"the letter breaks its syntax ({errors[0]}{extra})") if errors else (letter, "")


def _contents(path: Path, engine: Engine) -> list[object]:
    letter, _ = _read(path, engine)
    return [v for leaf, v in letter.values.items() if leaf.endswith("Base64Encoded")] if letter is not None else []


# -- what is told ------------------------------------------------------------------------------------------------------


def table(results: Iterable[Result], shown: int = 3) -> Iterator[str]:
    """A line for each conversion, then one for each group of rules: a resource type, or a part of the letter."""
    asked: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    total = passed = 0
    for result in results:
        total += 1
        passed += result.passed
        side = "FHIR" if result.item.suffix == ".json" else "letter"
        wrong = {group for group, _ in result.differences}
        asked.update((side, group) for group in result.groups | wrong)
        failed.update((side, group) for group in wrong)
        yield f"{'pass' if result.passed else 'FAIL'}  {result.item.name}{_why(result, shown)}"
    yield ""
    width = max((len(group) for _, group in asked), default=0)
    for side, group in sorted(asked):
        mark = "FAIL" if failed[side, group] else "pass"
        yield f"{mark}  {side:6}  {group:{width}}  {asked[side, group] - failed[side, group]} of {asked[side, group]}"
    yield ""
    yield f"{passed} of {total} conversions are as the fixtures have them ({100 * passed / max(total, 1):.1f} %)"


def _why(result: Result, shown: int) -> str:
    if result.problem:
        return f": {result.problem}"
    if not result.differences:
        return ""
    more = f" and {len(result.differences) - shown} more" if len(result.differences) > shown else ""
    return f": differs at {', '.join(path for _, path in result.differences[:shown])}{more}"
