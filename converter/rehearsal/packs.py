"""Scenario packs: messages with what must become of them, step by step, as at a test camp or a certification.

A pack is a folder with `pack.yaml`:

    pack: NAME
    title: what it is about
    source: who asks for it
    organisations: organisations.csv
    steps:
      - id: S2-1                       # names the evidence
        title: what is shown
        given: message.json            # a file of the pack
        official: {file: ConSer.json, check: {...}}   # taken instead where the folder of official files has it
        to: oioxml                     # fhir, oioxml or edifact
        check: {letter: {Letter.StatusCode: nytbrev}}

What `check` may ask for is `CHECKS`. Values are text. A step passes if everything that it asks holds.
"""

from __future__ import annotations

import html
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from converter.errors import MappingError
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.joining import PREFIX
from converter.ledger import losses_by_leaf
from converter.letter import Letter, Value, plain
from converter.rehearsal.golden import declared
from converter.renderings import neutral, text
from converter.yamlfile import Map, Seq, Str, fault, load, place

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome

FILE = "pack.yaml"
TARGETS = ("fhir", "oioxml", "edifact")
BAD_PACK = declare(
    "LNT540",
    "pack-form",
    Severity.ERROR,
    "{problem}",
    why="The pack cannot be run as it stands, so it shows nothing.",
    help="`medcom-fhir pack --help` and docs of `converter.rehearsal.packs` describe `pack.yaml`.",
)
STEP_FAILS = declare(
    "LNT541",
    "pack-step-fails",
    Severity.ERROR,
    "the step {step} does not hold: {what}",
    why="The converter does something else with this message than the pack asks for.",
    help="The evidence (--evidence FILE.zip) holds input, output and findings of every step.",
)


@dataclass(frozen=True)
class Step:
    """One step: an input, a target, and what is asked of the result by kind of check."""

    id: str
    title: str
    given: Path
    official: bool
    to: str
    checks: Mapping[str, Any]
    at: Location


@dataclass
class Pack:
    """A pack as it is read from its folder."""

    name: str
    title: str
    folder: Path
    organisations: Path | None
    steps: list[Step] = field(default_factory=list)


@dataclass
class Result:
    """What became of a step: what does not hold, and everything that proves it."""

    step: Step
    failures: list[str]
    outcomes: list[Outcome]

    @property
    def passed(self) -> bool:
        """Whether everything that the step asks for holds."""
        return not self.failures


# -- reading


def read(folder: Path, official: Path | None = None) -> Pack:
    """The pack of a folder; `official` is a folder of files that steps take instead of the invented ones.

    Raises `MappingError` with all faults of its form.
    """
    document = load(folder / FILE, name=str(folder / FILE))
    faults: list[Issue] = []
    name = str(document.get("pack", folder.name))
    table = document.get("organisations")
    pack = Pack(name, str(document.get("title", "")), folder, _inside(folder, table, faults) if table else None)
    seen: set[str] = set()
    for entry in document.get("steps", ()):
        step = _step(folder, entry, official, faults)
        if step is None:
            continue
        if step.id in seen:
            faults.append(fault(BAD_PACK, entry["id"], problem=f"two steps are called {step.id}"))
        seen.add(step.id)
        pack.steps.append(step)
    if not pack.steps and not faults:
        faults.append(fault(BAD_PACK, document, problem="the pack has no steps"))
    if faults:
        raise MappingError(f"{folder / FILE} does not load", faults)
    return pack


def _step(folder: Path, entry: Any, official: Path | None, faults: list[Issue]) -> Step | None:
    missing = [key for key in ("id", "given", "to", "check") if not isinstance(entry, Map) or key not in entry]
    if missing:
        faults.append(fault(BAD_PACK, entry, problem=f"a step needs {', '.join(f'`{key}`' for key in missing)}"))
        return None
    checks, given, theirs = entry["check"], _inside(folder, entry["given"], faults), False
    wanted = entry.get("official")
    if isinstance(wanted, Map) and official is not None and (official / str(wanted["file"])).is_file():
        given, checks, theirs = official / str(wanted["file"]), wanted.get("check", checks), True
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", entry["id"]):
        faults.append(fault(BAD_PACK, entry["id"], problem="an id has letters, digits, dots and hyphens only"))
    if entry["to"] not in TARGETS:
        faults.append(fault(BAD_PACK, entry["to"], problem=f"`to` is one of {', '.join(TARGETS)}"))
    for key in checks if isinstance(checks, Map) else ():
        if key not in CHECKS:
            faults.append(fault(BAD_PACK, key, problem=f"there is no check {key!r}; there are {', '.join(CHECKS)}"))
    return Step(str(entry["id"]), str(entry.get("title", "")), given, theirs, str(entry["to"]), checks, place(entry))


def _inside(folder: Path, name: Str, faults: list[Issue]) -> Path:
    """A file of the pack: packs come from others, so no path leads out of their folder."""
    path = folder / str(name)
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        faults.append(fault(BAD_PACK, name, problem=f"there is no file {str(name)!r} in the pack"))
    return path


# -- running


def run(pack: Pack, engine: Engine) -> Iterator[Result]:
    """Every step in the order of the pack."""
    for step in pack.steps:
        outcomes = list(engine.convert(step.given.read_bytes(), to=step.to, name=step.given.name))
        trial = _Trial(engine, pack.folder, step, outcomes)
        failures = [what for kind, wanted in step.checks.items() for what in CHECKS[kind](trial, wanted)]
        yield Result(step, failures, outcomes)


def findings(result: Result) -> IssueLog:
    """What does not hold, one finding each; no value of a message."""
    log = IssueLog()
    for what in result.failures:
        log.add(STEP_FAILS, result.step.at, step=result.step.id, what=what)
    return log


@dataclass
class _Trial:
    """What the checks of a step look at."""

    engine: Engine
    folder: Path
    step: Step
    outcomes: list[Outcome]

    @property
    def written(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.output is not None]

    @property
    def letters(self) -> list[Letter]:
        return [o.letter for o in self.outcomes if o.letter is not None]

    @property
    def codes(self) -> list[str]:
        return sorted({i.code for o in self.outcomes for i in o.issues if i.severity != Severity.INFO})

    def value(self, leaf: str) -> list[str]:
        """The values of a leaf; a path that ends in a dot means all leaves below it, as one text."""
        if leaf.endswith("."):
            texts = (
                "".join(plain(v) for k, v in one.values.items() if k.startswith(leaf[:-1])) for one in self.letters
            )
            return [text for text in texts if text]
        return [plain(one.values[leaf]) for one in self.letters if leaf in one.values]

    def found(self, path: str) -> list[str]:
        """The values at a path below resources of a type, all items of lists; booleans as `true` and `false`."""
        kind, *steps = path.split(".")
        nodes: list[Any] = [
            entry["resource"]
            for outcome in self.written
            for entry in (outcome.bundle or {}).get("entry", ())
            if entry["resource"]["resourceType"] == kind
        ]
        for step in steps:
            nodes = [child for node in nodes if isinstance(node, dict) for child in _items(node.get(step))]
        return [str(node).lower() if isinstance(node, bool) else str(node) for node in nodes]


def _items(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _each(wanted: Any) -> list[str]:
    return [str(one) for one in (wanted if isinstance(wanted, Seq) else [wanted])]


def _output(trial: _Trial, wanted: Any) -> Iterator[str]:
    """The output is that of a file of the pack, byte for byte."""
    expected = (trial.folder / str(wanted)).read_bytes()
    if [o.output for o in trial.written] != [expected]:
        yield f"the output is not {wanted}"


def _letter(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Leaves of the letter have these values; an empty one is not there."""
    for leaf, value in wanted.items():
        found = trial.value(leaf)
        if (value in found) != bool(value) or (not value and found):
            yield f"{leaf} {'has another value' if found else 'is missing'}"


def _contains(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Texts of the letter hold these words."""
    for leaf, words in wanted.items():
        text = "\n".join(trial.value(leaf))
        yield from (f"{leaf} does not hold text {n}" for n, one in enumerate(_each(words), 1) if one not in text)


def _lacks(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Texts of the letter do not hold these words."""
    for leaf, words in wanted.items():
        text = "\n".join(trial.value(leaf))
        yield from (f"{leaf} holds text {n}" for n, one in enumerate(_each(words), 1) if one in text)


def _present(trial: _Trial, wanted: Any) -> Iterator[str]:
    """The letter has these leaves, whatever they are."""
    yield from (f"{leaf} is missing" for leaf in _each(wanted) if not trial.value(leaf))


def _ends(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Texts of the letter end in a line with these words."""
    for leaf, words in wanted.items():
        lines = "\n".join(trial.value(leaf)).strip().splitlines()
        if not lines or str(words) not in lines[-1]:
            yield f"{leaf} does not end in that line"


def _bundle(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Each value is found at its path in the Bundle; nothing is there where the value is empty."""
    for path, values in wanted.items():
        found = trial.found(path)
        for value in _each(values):
            if value not in found if value else found:
                yield f"{path} {'has another value' if found else 'is missing'}"


def _matches(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """All values at a path have a form, and there is one."""
    for path, form in wanted.items():
        found = trial.found(path)
        if not found or not all(re.fullmatch(str(form), value) for value in found):
            yield f"{path} {'has another form' if found else 'is missing'}"


def _among(trial: _Trial, wanted: Mapping[str, Any]) -> Iterator[str]:
    """All values at a path stand at another one too."""
    for path, other in wanted.items():
        found = trial.found(path)
        if not found or not set(found) <= set(trial.found(str(other))):
            yield f"{path} names what {other} does not"


def _errors(trial: _Trial, wanted: Any) -> Iterator[str]:
    """There are errors of exactly these kinds."""
    found = {i.code for o in trial.outcomes for i in o.issues if i.severity is Severity.ERROR}
    if found != set(_each(wanted)) - {""}:
        yield f"errors of kinds {', '.join(sorted(found)) or 'none'}"


def _tells(trial: _Trial, wanted: Any) -> Iterator[str]:
    """Findings of these kinds, or with these losses, are among those that are told."""
    said = [f"{i.code} {i.message}" for o in trial.outcomes for i in o.issues]
    yield from (f"nothing tells {one}" for one in _each(wanted) if not any(one in line for line in said))


def _back(trial: _Trial, wanted: Any) -> Iterator[str]:
    """`declared`: the way back gives the same letter, but for what the ledgers name."""
    if str(wanted) != "declared" or trial.step.to != "fhir":
        yield "`back` can be `declared`, for letters that become FHIR"
        return
    for there in trial.written:
        found = trial.engine.convert(there.output or b"", to="oioxml", name="bundle.json")
        back = [o for o in found if o.letter and not o.is_partner]
        changed = [_undeclared(there, one) for one in back]
        if all(changed):
            yield "the way back changes more than the ledgers name"


def _undeclared(there: Outcome, back: Outcome) -> set[str]:
    """The leaves that differ although no ledger names a loss, those of the letters with its files included."""
    assert there.ledger is not None
    assert back.ledger is not None
    losses = losses_by_leaf(there.ledger, back.ledger)
    return set(declared(_whole(there), _whole(back), losses)[1])


def _whole(outcome: Outcome) -> dict[str, Value]:
    assert outcome.letter is not None
    files = enumerate(outcome.partners, 1)
    return outcome.letter.values | {f"{PREFIX}[{k}].{leaf}": v for k, one in files for leaf, v in one.values.items()}


def _narratives(trial: _Trial, wanted: Any) -> Iterator[str]:
    """Every resource has a narrative, and those at these paths stand in it as they are."""
    for outcome in trial.written:
        for entry in (outcome.bundle or {}).get("entry", ()):
            if not entry["resource"].get("text", {}).get("div"):
                yield f"{entry['resource']['resourceType']} has no narrative"
    shown = html.unescape(re.sub(r"<[^>]*>", " ", " ".join(_divs(trial))))
    yield from (
        f"{path} is not in the narrative" for path in _each(wanted) for v in trial.found(path) if v not in shown
    )


def _divs(trial: _Trial) -> Iterator[str]:
    for outcome in trial.written:
        for entry in (outcome.bundle or {}).get("entry", ()):
            yield entry["resource"].get("text", {}).get("div", "")


def _outputs(trial: _Trial, wanted: Any) -> Iterator[str]:
    """The types of what comes out, in order."""
    found = [o.type for o in trial.written]
    if found != _each(wanted):
        yield f"{', '.join(found) or 'nothing'} came out"


CHECKS: dict[str, Callable[[_Trial, Any], Iterator[str]]] = {
    "outputs": _outputs,
    "output": _output,
    "letter": _letter,
    "contains": _contains,
    "lacks": _lacks,
    "present": _present,
    "ends": _ends,
    "bundle": _bundle,
    "matches": _matches,
    "among": _among,
    "errors": _errors,
    "tells": _tells,
    "back": _back,
    "narratives": _narratives,
}
"""What a step may ask for, by its name in `check`."""


# -- telling


def junit(pack: Pack, results: Sequence[Result]) -> str:
    """A test suite for the pack with a case for each step; no value of a message."""
    failed = sum(not result.passed for result in results)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuites><testsuite name={_attribute(pack.name)} tests="{len(results)}" failures="{failed}">')
    for result in results:
        name = f"{result.step.id} {result.step.title}".strip()
        lines.append(f"<testcase classname={_attribute(pack.name)} name={_attribute(name)}>")
        lines += [f"<failure message={_attribute(what)}/>" for what in result.failures]
        lines.append("</testcase>")
    return "\n".join([*lines, "</testsuite></testsuites>"]) + "\n"


def _attribute(value: str) -> str:
    return quoteattr(neutral(value))


def evidence(pack: Pack, results: Sequence[Result]) -> bytes:
    """A ZIP with a folder for each step: what went in, what came out, what was said, what was asked.

    It holds whole messages. Its bytes follow from the pack and the mapping files alone: no clock, no order of a disk.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _evidence(pack, results):
            entry = zipfile.ZipInfo(name)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _evidence(pack: Pack, results: Sequence[Result]) -> Iterator[tuple[str, bytes]]:
    yield "junit.xml", junit(pack, results).encode()
    for result in results:
        step, folder = result.step, f"{result.step.id}/"
        yield f"{folder}input{step.given.suffix}", step.given.read_bytes()
        written = [o for o in result.outcomes if o.output is not None]
        for number, outcome in enumerate(written, 1):
            part = f"-{number}" if len(written) > 1 else ""
            yield f"{folder}output{part}{outcome.suffix}", outcome.output or b""
        yield f"{folder}findings.txt", "".join(text(i) for o in result.outcomes for i in o.issues).encode()
        asked = [f"{kind}: {'holds' if result.passed else 'see below'}" for kind in step.checks]
        origin = "official file" if step.official else "invented file"
        lines = [
            step.id,
            step.title,
            f"given: {step.given.name} ({origin})",
            f"to: {step.to}",
            *asked,
            *result.failures,
        ]
        yield f"{folder}result.txt", ("\n".join([*lines, "passed" if result.passed else "FAILED"]) + "\n").encode()
