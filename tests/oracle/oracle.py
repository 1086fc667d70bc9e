"""Our validator beside HL7's official one, on the same files and packages: `make oracle [ORACLE="--mutants 200"]`.

The official validator comes from Maven Central (pom.xml) and runs offline. Compared are leaf errors by file and place
(comparison.py says how): an error of theirs that ours lacks is *missed*, one of ours that theirs lacks is a *false
alarm*. Every difference is printed, but for those on purpose (differences.yaml).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from comparison import NOT_FROM_PROFILES, Case, Keys, Leaf, broken_without, differences, place_of, without

from converter.fhir.packages import read_closure
from converter.fhir.packs import BASE, build_pack
from converter.fhir.profiles import Pack, Profile
from converter.issues import IssueLog, Severity

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "fhir"
BUILD = ROOT / "build" / "oracle"
GUIDES = {
    "acknowledgement-2.0.3": "medcom.fhir.dk.acknowledgement#2.0.3",
    "carecommunication-4.0.3": "medcom.fhir.dk.carecommunication#4.0.3",
    "carecommunication-5.0.2": "medcom.fhir.dk.carecommunication#5.0.2",
    "conditionlist-1.0.1": "medcom.fhir.dk.conditionlist#1.0.1",
    "hospitalnotification-3.0.2": "medcom.fhir.dk.hospitalnotification#3.0.2",
    "mutants": "medcom.fhir.dk.carecommunication#5.0.2",
}
Judge = Callable[[Profile, Any], list[Leaf]]
# The engine asks for these at its start. They are empty here: the packages under test hold all that is compared.
EMPTY = ("hl7.fhir.xver-extensions#0.1.0", "hl7.terminology.r4#0.0.0", "hl7.fhir.uv.extensions.r4#0.0.0")


def prepare() -> str | None:
    """Fetch and compile the official validator; the reason why not, if it cannot be had here."""
    for tool in ("java", "javac", "mvn"):
        if shutil.which(tool) is None:
            return f"{tool} is missing"
    library, classes = BUILD / "lib", BUILD / "classes"
    here = ROOT / "tests" / "oracle"
    if not library.is_dir():
        fetched = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={library}"], cwd=here, check=False
        )
        if fetched.returncode:
            shutil.rmtree(library, ignore_errors=True)
            return "Maven could not fetch the validator"
    classes.mkdir(parents=True, exist_ok=True)
    source = str(here / "src/main/java/Oracle.java")
    subprocess.run(["javac", "-nowarn", "-cp", f"{library}/*", "-d", str(classes), source], check=True)
    cache = BUILD / "home" / ".fhir" / "packages"
    for name in EMPTY:
        folder = cache / name / "package"
        folder.mkdir(parents=True, exist_ok=True)
        package, version = name.split("#")
        head = {"name": package, "version": version, "type": "Conformance", "fhirVersions": ["4.0.1"]}
        (folder / "package.json").write_text(json.dumps({**head, "dependencies": {}}))
    (cache / "packages.ini").write_text("[cache]\nversion=4\n\n[urls]\n\n[local]\n\n[packages]\n")
    return None


def official(guide: str, files: list[Path]) -> dict[Path, tuple[list[Leaf], float]]:
    """Leaf errors and milliseconds of the official validator for each file.

    Verdicts are remembered by what made them: the driver, the guide and the content of the file.
    """
    source = (ROOT / "tests/oracle/src/main/java/Oracle.java").read_bytes() + guide.encode()
    marks = {file: hashlib.sha256(source + file.read_bytes()).hexdigest() for file in files}
    memory = BUILD / "verdicts"
    memory.mkdir(parents=True, exist_ok=True)
    unknown = [f for f in files if not (memory / marks[f]).is_file()]
    for file, verdict in run_official(guide, unknown).items():
        (memory / marks[file]).write_text(verdict)
    found = {}
    for file in files:
        one = json.loads((memory / marks[file]).read_text())
        if "stopped" in one:
            print(f"  no verdict   {file.name}: the official validator stopped, {one['stopped'][:100]}")
            continue
        leaves = {
            (place_of(place, message), key or message or ""): text
            for place, message, key, text in one["errors"]
            if not NOT_FROM_PROFILES.search(message or "")
        }
        found[file] = ([Leaf(place, what, text or "") for (place, what), text in leaves.items()], one["ms"])
    return found


def run_official(guide: str, files: list[Path]) -> dict[Path, str]:
    """What the official validator prints for each file, as JSON."""
    if not files:
        return {}
    packages = [p.name for p in reversed(read_closure(guide, SHARED / "packages").packages)]
    command = ["java", f"-Duser.home={BUILD / 'home'}", "-cp", f"{BUILD / 'classes'}:{BUILD / 'lib'}/*", "Oracle"]
    ran = subprocess.run(
        [*command, str(SHARED / "packages"), ",".join(packages)],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    lines = [line[7:] for line in ran.stdout.splitlines() if line.startswith("ORACLE ")]
    if len(lines) != len(files):
        raise SystemExit(f"the official validator stopped:\n{ran.stderr[-2000:]}")
    return {Path(json.loads(line)["file"]): line for line in lines}


def judged(profile: Profile, bundle: Any) -> list[Leaf]:
    """Our leaf errors for a Bundle."""
    log = IssueLog()
    profile.validate(bundle, log)
    found = {(i.target, f"{i.code} {i.rule}"): i.message for i in log if i.severity is Severity.ERROR}
    return [Leaf(place, what, text) for (place, what), text in found.items()]


def profile_of(pack: Pack, file: Path) -> Profile:
    """The profile that a Bundle claims, else the base definition: so the official validator does."""
    meta = json.loads(file.read_text("utf-8")).get("meta")
    listed = meta.get("profile") if isinstance(meta, dict) else None
    claimed = [c for c in listed if isinstance(c, str)] if isinstance(listed, list) else []
    for url in [*claimed, BASE + "Bundle"]:
        profile = pack.profile(url.partition("|")[0])
        if profile is not None:
            return profile
    raise SystemExit(f"{file.name}: no profile")


def mutants(files: list[Path], count: int, seed: int, folder: Path) -> list[Path]:
    """`count` copies of examples, each changed at one place by chance; written to `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    draw, made = random.Random(seed), []
    for number in range(count):
        source = draw.choice(files)
        bundle = json.loads(source.read_text("utf-8"))
        name = change(bundle, draw)
        path = folder / f"{number:04d}-{name}-{source.stem[:20]}.json"
        path.write_text(json.dumps(bundle, ensure_ascii=False), "utf-8")
        made.append(path)
    return made


def change(bundle: dict[str, Any], draw: random.Random) -> str:
    """Change one place of a Bundle; the name of the change."""
    places = list(walk(bundle))
    holder, key = draw.choice(places)
    value = holder[key]
    kinds = ["delete", "retype"]
    if isinstance(value, list):
        kinds.append("double")
    if isinstance(value, dict):
        kinds += ["extra", "extra"]
    if isinstance(value, str):
        kinds += ["altered", "altered", "empty"]
    kind = draw.choice(kinds)
    if kind == "delete":
        del holder[key]
    elif kind == "retype":
        holder[key] = draw.choice([7, True, {"odd": 1}, "odd", ["odd"]])
    elif kind == "double":
        value.append(json.loads(json.dumps(draw.choice(value))))
    elif kind == "extra":
        value["odd"] = "odd"
    else:
        holder[key] = "" if kind == "empty" else value + draw.choice(["x", "0", "-odd"])
    return kind


def walk(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value but narratives, as (holder, key)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(pairs):
        if key not in ("text", "data"):
            yield value, key
            yield from walk(child)


@dataclass
class Tally:
    """Counts over any number of files, and milliseconds."""

    theirs: int = 0
    missed: int = 0
    ours: int = 0
    alarms: int = 0
    on_purpose: int = 0
    read_past: int = 0
    their_time: float = 0.0
    our_time: float = 0.0

    def add(self, other: Tally) -> None:
        """Add another tally."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


def compare(verdicts: dict[Path, tuple[list[Leaf], float]], pack: Pack, judge: Judge, *, tell: bool = True) -> Tally:
    """Count the differences, and print each of them."""
    tally, allowed, rules = Tally(), differences(), Keys.of(pack.rules)
    for file, (theirs, took) in verdicts.items():
        profile = profile_of(pack, file)
        start = time.process_time()
        mine = judge(profile, json.loads(file.read_text("utf-8")))
        tally.our_time += (time.process_time() - start) * 1000
        tally.their_time += took
        case = Case(json.loads(file.read_text("utf-8")), theirs, mine, rules)
        missed = case.missed()
        rest = judge(profile, without(json.loads(file.read_text("utf-8")), mine)) if missed else []
        past = [leaf for leaf in missed if broken_without(leaf, rest)]
        tally.read_past += len(past)
        tally.theirs -= len(past)
        for side, found in (("theirs", [m for m in missed if m not in past]), ("ours", case.alarms())):
            meant = [leaf for leaf in found if any(d.covers(side, leaf) for d in allowed)]
            tally.on_purpose += len(meant)
            different = [leaf for leaf in found if leaf not in meant]
            for leaf in sorted(different if tell else [], key=lambda x: x.place):
                word = "missed     " if side == "theirs" else "false alarm"
                print(f"  {word}  {file.name}: {leaf.place or '/'} {leaf.what}")
            if side == "theirs":
                tally.theirs, tally.missed = tally.theirs + len(case.theirs) - len(meant), tally.missed + len(different)
            else:
                tally.ours, tally.alarms = tally.ours + len(case.mine) - len(meant), tally.alarms + len(different)
    return tally


def main() -> int:
    """Compare over the examples and over mutants of them. Exit code 1 if the aims are missed."""
    options = argparse.ArgumentParser()
    options.add_argument("--mutants", type=int, default=100, help="mutants for each guide (default 100)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--guide", action="append", help="only these folders of examples")
    chosen = options.parse_args()
    if not SHARED.is_dir():
        print("oracle: skipped, the examples and packages are not beside this repository")
        return 0
    reason = prepare()
    if reason:
        print(f"oracle: skipped, {reason}")
        return 0
    total, silent = Tally(), Tally()
    for folder, guide in GUIDES.items():
        if chosen.guide and folder not in chosen.guide:
            continue
        examples = [p for p in sorted((SHARED / "examples" / folder).glob("*.json")) if p.stem != "expected"]
        made = mutants(examples, chosen.mutants, chosen.seed, BUILD / "mutants" / folder)
        print(f"{folder}: {len(examples)} examples, {len(made)} mutants ({guide})")
        pack = Pack(build_pack(guide, SHARED / "packages"))
        verdicts = official(guide, examples + made)
        tally = compare(verdicts, pack, judged)
        total.add(tally)
        silent.add(compare(verdicts, pack, lambda *_: [], tell=False))
        print(
            f"  {folder}: {tally.theirs - tally.missed} of {tally.theirs} errors found, {tally.alarms} false alarms"
            f" among {tally.ours} of ours, {tally.on_purpose} differences on purpose, {tally.read_past} read past;"
        )
        print(f"  {tally.their_time:.0f} ms official, {tally.our_time:.0f} ms ours (theirs with its warming up)")
    share = 1 - total.missed / total.theirs if total.theirs else 1.0
    alarms = total.alarms / total.ours if total.ours else 0.0
    print(f"all: {share:.2%} of the official errors found (aim 99 %), {alarms:.2%} false alarms (aim at most 1 %)")
    print(
        f"negative control: a validator that says nothing misses {silent.missed} of {silent.theirs} of the same errors"
    )
    return 0 if share >= 0.99 and alarms <= 0.01 and silent.missed == silent.theirs >= total.theirs else 1


if __name__ == "__main__":
    sys.exit(main())
