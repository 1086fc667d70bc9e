"""The examples that mapping files name: what goes in, what must come out, and where that is written down.

    examples:
      - {cases: fixtures/letters/TYPE, organisations: fixtures/organisations.csv}
      - {in: fixtures/a.edi, out: fixtures/a.json, issues: fixtures/a.issues.txt, back: fixtures/a.back.txt}
      - {cases: fixtures/refused, accept: [LOSS]}

`cases` is a folder of cases, or one. A case is a folder with a letter (`message.edi`, `message.xml` or both) or a FHIR
message (`message.json`), beside the golden files, and `variants.yaml` where it has variants (`variants.py`). Letters
with the objects that the letter names stand beside it as `attachment.edi` or `.xml`, `attachment-2.edi` and so on.
`accept` names losses that refuse no message here, as `convert --accept-loss` does.
Paths count from the folder that holds the mapping folder, and do not leave it: mapping files come from pull requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from converter.issues import IssueLog, Location, Severity, declare
from converter.mapping.document import Document
from converter.yamlfile import Map, Seq, Str, fault

if TYPE_CHECKING:
    from converter.engine import Engine
    from converter.joining import Partners

BAD_EXAMPLE = declare(
    "LNT500",
    "example-form",
    Severity.ERROR,
    "{problem}",
    why="The example is not run, so nobody learns when the mapping stops doing what it shows.",
    help="An example is `{cases: FOLDER}` or `{in: FILE, out: FILE}`, and `issues`, `ledger`, `back` files.",
)
NO_EXAMPLE = declare(
    "LNT501",
    "example-missing",
    Severity.ERROR,
    "{what} {name!r} is not there",
    why="The example is not run, so nobody learns when the mapping stops doing what it shows.",
    help="Paths count from the folder that holds the mapping folder; `--root` names another one.",
)
NO_EXAMPLES = declare(
    "LNT502",
    "mapping-without-examples",
    Severity.WARNING,
    "the mapping {name} names no examples",
    why="Nothing shows that it does what its author meant.",
    help="Add `examples:` with a folder of cases, and write their golden files with `medcom-fhir test --rewrite`.",
)

VARIANTS = "variants.yaml"
MESSAGES = ("message.edi", "message.xml", "message.json")
GOLDEN = {"out": "", "issues": "issues.txt", "ledger": "ledger.txt", "back": "back.txt"}


@dataclass(frozen=True, slots=True)
class Example:
    """One example: inputs that are the same message, and golden files by what they hold.

    `exact` says that every golden file must be there; else only the files that the mapping file names are compared.
    """

    mapping: str
    name: str
    inputs: tuple[Path, ...]
    golden: Mapping[str, Path] = field(hash=False)
    organisations: Path | None
    exact: bool
    variants: Path | None = None
    accept: frozenset[str] = frozenset()

    @property
    def from_fhir(self) -> bool:
        """Whether the way back is shown: a FHIR message that becomes a letter."""
        return self.inputs[0].suffix == ".json"


def beside(message: Path) -> list[Path]:
    """The letters with objects that stand beside a letter, in its syntax."""
    return sorted(message.parent.glob(f"attachment*{message.suffix}")) if message.suffix != ".json" else []


def attachments(engine: Engine, message: Path) -> Partners:
    """The letters with objects that stand beside a letter, to be joined to it."""
    return engine.partners((path.read_bytes(), path.name) for path in beside(message))


def examples(document: Document, root: Path, log: IssueLog) -> list[Example]:
    """All examples of a mapping; what cannot be found or understood goes to `log`."""
    reader = _Reader(document.name, root.resolve(), log)
    found = [example for entry in document.examples for example in reader.read(entry)]
    if not document.examples:
        log.add(NO_EXAMPLES, Location(document.file, 1, 1), name=document.name)
    return found


class _Reader:
    def __init__(self, mapping: str, root: Path, log: IssueLog) -> None:
        self.mapping, self.root, self.log = mapping, root, log

    def read(self, entry: object) -> Iterator[Example]:
        if not isinstance(entry, Map) or ("cases" in entry) == ("in" in entry):
            self._complain(entry, "an example has either `cases` or `in`")
            return
        unknown = [key for key in entry if key not in ("cases", "in", "organisations", "accept", *GOLDEN)]
        wrong = [value for key, value in entry.items() if key != "accept" and not isinstance(value, Str)]
        accepted = entry.get("accept", Seq())
        if not isinstance(accepted, Seq) or not all(isinstance(loss, Str) for loss in accepted):
            self._complain(accepted, "`accept` is a list of losses")
            return
        for one in (*unknown, *wrong):
            self._complain(one, f"not understood in an example: {one!s}" if one in unknown else "a path is text")
        table = self._path(entry, "organisations", "the organisation table") if "organisations" in entry else None
        if unknown or wrong or ("organisations" in entry and table is None):
            return
        accept = frozenset(str(loss) for loss in accepted)
        found = self._cases(entry, table) if "cases" in entry else self._single(entry, table)
        yield from (replace(example, accept=accept) for example in found)

    def _complain(self, value: object, problem: str) -> None:
        self.log.issues.append(fault(BAD_EXAMPLE, value, problem=problem))

    def _path(self, entry: Map, key: str, what: str, *, new: bool = False) -> Path | None:
        """A path of the entry below the root, which must be there unless it is `new`."""
        text = entry[key]
        path: Path = (self.root / text).resolve()
        if not path.is_relative_to(self.root):
            self._complain(text, f"{what} must stand below the folder that holds the mapping folder")
            return None
        if not new and not path.exists():
            self.log.issues.append(fault(NO_EXAMPLE, text, what=what, name=str(text)))
            return None
        return path

    def _single(self, entry: Map, table: Path | None) -> Iterator[Example]:
        path = self._path(entry, "in", "the example")
        golden = {key: self._path(entry, key, "the golden file", new=True) for key in GOLDEN if key in entry}
        if path is not None and path.is_file() and None not in golden.values():
            given = {key: file for key, file in golden.items() if file is not None}
            yield Example(self.mapping, self._name(path), (path,), given, table, exact=False)

    def _cases(self, entry: Map, table: Path | None) -> Iterator[Example]:
        top = self._path(entry, "cases", "the folder of cases")
        if top is None:
            return
        folders = sorted({path.parent for name in MESSAGES for path in top.rglob(name) if path.is_file()})
        if not folders:
            self.log.issues.append(fault(NO_EXAMPLE, entry["cases"], what="a case below", name=str(entry["cases"])))
        for folder in folders:
            if not folder.resolve().is_relative_to(self.root):
                self._complain(entry["cases"], "a case must stand below the folder that holds the mapping folder")
                continue
            inputs = tuple(folder / name for name in MESSAGES if (folder / name).is_file())
            if len({path.suffix == ".json" for path in inputs}) > 1:
                self._complain(entry["cases"], f"{self._name(folder)} holds a letter and a FHIR message")
                continue
            out = "letter.xml" if inputs[0].suffix == ".json" else "bundle.json"
            golden = {key: folder / (name or out) for key, name in GOLDEN.items()}
            if inputs[0].suffix == ".json":
                del golden["back"]
            variants = folder / VARIANTS if (folder / VARIANTS).is_file() else None
            yield Example(self.mapping, self._name(folder), inputs, golden, table, exact=True, variants=variants)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
