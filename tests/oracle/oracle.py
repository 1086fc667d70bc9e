"""Our validator beside HL7's official one, on the same files and packages: `make oracle [ORACLE="--mutants 200"]`.

The official validator comes from Maven Central (pom.xml) and runs offline. Compared are leaf errors by file and place:
an error of theirs is *found* when ours has an error at the same element, its parent or child; an error of ours
without one of theirs that near is a *false alarm*. Every difference is printed. Left out are errors that
no profile states: echoes at references, links inside narratives and reachability (they come from that program's code).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converter.fhir.packages import read_closure
from converter.fhir.packs import build_pack
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
# The engine asks for these at its start. They are empty here: the packages under test hold all that is compared.
EMPTY = ("hl7.fhir.xver-extensions#0.1.0", "hl7.terminology.r4#0.0.0", "hl7.fhir.uv.extensions.r4#0.0.0")
NOT_FROM_PROFILES = re.compile(
    r"Reference_REF_CantMatchChoice|BUNDLE_BUNDLE_ENTRY_NOTFOUND_APPARENT|BUNDLE_BUNDLE_ENTRY_(REVERSE_)?ORPHAN|XHTML_"
)

ENTRY = re.compile(r"/entry/\d+")
Leaf = tuple[str, str]  # (JSON pointer, what)


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


def official(guide: str, files: list[Path]) -> dict[Path, tuple[set[Leaf], float]]:
    """Leaf errors and milliseconds of the official validator for each file."""
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
    found, seen = {}, 0
    for line in ran.stdout.splitlines():
        if line.startswith("ORACLE "):
            one = json.loads(line[7:])
            seen += 1
            if "stopped" in one:
                print(
                    f"  no verdict   {Path(one['file']).name}: the official validator stopped, {one['stopped'][:100]}"
                )
                continue
            leaves = {
                (pointer(place), key or message or "")
                for place, message, key in one["errors"]
                if not NOT_FROM_PROFILES.search(message or "")
            }
            found[Path(one["file"])] = (leaves, one["ms"])
    if seen != len(files):
        raise SystemExit(f"the official validator stopped:\n{ran.stderr[-2000:]}")
    return found


def pointer(place: str) -> str:
    """Their place as a JSON pointer: `Bundle.entry[2]/*…*/.content.ofType(Attachment)` becomes `/entry/2…`."""
    text = re.sub(r"/\*.*?\*/", "", place or "")
    text = re.sub(r"\.(\w+)\.ofType\((\w)(\w*)\)", lambda m: f".{m[1]}{m[2].upper()}{m[3]}", text)
    text = re.sub(r"\.(\w+)\[x\]", r".\1", text)
    steps = [s for s in re.split(r"[.\[\]]+", text)[1:] if s]
    return "".join(f"/{s}" for s in steps)


def ours(profile: Profile, file: Path) -> set[Leaf]:
    """Our leaf errors for a file."""
    log = IssueLog()
    profile.validate(json.loads(file.read_text("utf-8")), log, file=file.name)
    return {(i.target, f"{i.code} {i.rule}") for i in log if i.severity is Severity.ERROR}


def near(one: str, other: str) -> bool:
    """Whether two places are the same element, or one is the other's parent or grandparent.

    The official validator names entry 0 whichever fullUrl is wrong, so an entry itself stands for any entry.
    """
    if ENTRY.fullmatch(one) and other.endswith("/fullUrl"):
        return True
    short, long = sorted((one, other), key=len)
    return one == other or (long.startswith(short + "/") and long[len(short) :].count("/") <= 2)


def profile_of(pack: Pack, file: Path) -> Profile:
    """The profile that a Bundle claims, else the guide's message."""
    claimed = json.loads(file.read_text("utf-8")).get("meta", {}).get("profile", [])
    for url in [*claimed, *pack.bundle_profiles()]:
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


def compare(guide: str, files: list[Path], pack: Pack) -> tuple[int, int, int, int, float, float]:
    """Print every difference; (their errors, found, our errors, false alarms, their ms, our ms)."""
    theirs_found = theirs_all = ours_false = ours_all = 0
    their_time, our_time = 0.0, 0.0
    for file, (theirs, took) in official(guide, files).items():
        profile = profile_of(pack, file)
        start = time.process_time()
        mine = ours(profile, file)
        our_time += (time.process_time() - start) * 1000
        their_time += took
        missed = [t for t in theirs if not any(near(t[0], m[0]) for m in mine)]
        alarms = [m for m in mine if not any(near(t[0], m[0]) for t in theirs)]
        theirs_all, theirs_found = theirs_all + len(theirs), theirs_found + len(theirs) - len(missed)
        ours_all, ours_false = ours_all + len(mine), ours_false + len(alarms)
        for place, what in sorted(missed):
            print(f"  missed       {file.name}: {place or '/'} {what}")
        for place, what in sorted(alarms):
            print(f"  false alarm  {file.name}: {place or '/'} {what}")
    return theirs_all, theirs_found, ours_all, ours_false, their_time, our_time


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
    totals = [0, 0, 0, 0]
    for folder, guide in GUIDES.items():
        if chosen.guide and folder not in chosen.guide:
            continue
        examples = [p for p in sorted((SHARED / "examples" / folder).glob("*.json")) if p.stem != "expected"]
        made = mutants(examples, chosen.mutants, chosen.seed, BUILD / "mutants" / folder)
        print(f"{folder}: {len(examples)} examples, {len(made)} mutants ({guide})")
        pack = Pack(build_pack(guide, SHARED / "packages"))
        result = compare(guide, examples + made, pack)
        totals = [a + b for a, b in zip(totals, result[:4], strict=True)]
        print(
            f"  {folder}: {result[1]} of {result[0]} errors found, {result[3]} false alarms among {result[2]} of ours;"
        )
        print(f"  {result[4]:.0f} ms official, {result[5]:.0f} ms ours (theirs with its warming up)")
    share = totals[1] / totals[0] if totals[0] else 1.0
    alarms = totals[3] / totals[2] if totals[2] else 0.0
    print(f"all: {share:.2%} of the official errors found (aim 99 %), {alarms:.2%} false alarms (aim at most 1 %)")
    return 0 if share >= 0.99 and alarms <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
