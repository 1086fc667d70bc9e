"""Codes and codecs of mapping files: code maps against both code lists, codecs against both types, fixed values."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches

from converter.definitions.tree import Element
from converter.issues import IssueLog, Location, Severity, declare
from converter.linting.scope import Scope, Written
from converter.linting.shapes import Place, Unknown
from converter.mapping import Mappings, paths
from converter.mapping.codes import CodeMap
from converter.mapping.document import Rule
from converter.yamlfile import place

NO_COLUMN = declare(
    "LNT130",
    "unknown-column",
    Severity.ERROR,
    "the code map {map} has no {side} column {column!r}",
    why="The look-up would find no row, or write nothing.",
    help="Use the names under `columns` of the code map; `letter` and `fhir` say of which side each is.",
)
NOT_COVERED = declare(
    "LNT131",
    "code-map-misses-codes",
    Severity.ERROR,
    "the code map {map} has no row for {codes} of {path!r}, and the rule has no `otherwise`",
    why="Letters with that code would lose it.",
    help="Add rows, or say with `otherwise` and `lossy` what such a code becomes.",
)
NOT_OF_LETTER = declare(
    "LNT132",
    "row-without-letter-code",
    Severity.ERROR,
    "{code!r} is no code of {path!r} in any letter that uses the code map{close}",
    why="The row is never used there, and on the way back it would write a code that no letter may have.",
    help="Compare with the element's code list (`medcom-fhir explain TYPE`).",
)
NOT_OF_FHIR = declare(
    "LNT133",
    "row-outside-value-set",
    Severity.ERROR,
    "{code!r} of the code map {map} is not in the required value set {value_set} of {element}",
    why="Messages with that code would break their profile.",
    help="Use a code of the value set, with its code system.",
)
ONE_WAY_ROW = declare(
    "LNT134",
    "code-without-way-back",
    Severity.ERROR,
    "all rows of the code map {map} for the FHIR code {code!r} say `back: no`",
    why="A message with that code would lose it on the way back.",
    help="Let one of the rows come back.",
)
UNUSED_MAP = declare(
    "LNT135",
    "code-map-unused",
    Severity.WARNING,
    "no mapping uses the code map {map}",
    why="Somebody will keep it up to date for nothing.",
    help="Use it, or remove the file.",
)
NOT_A_VALUE = declare(
    "LNT136",
    "value-not-of-letter",
    Severity.ERROR,
    "{text!r} cannot stand in {path!r}: {problem}",
    why="Every letter that is made with it would break its definition.",
    help="`medcom-fhir explain TYPE` names the type, length and code list of each element.",
)
CODEC_TYPE = declare(
    "LNT140",
    "codec-does-not-fit",
    Severity.ERROR,
    "the codec {codec} {problem}",
    why="The value would be written in a form that its place does not allow, or the conversion would stop.",
    help="Choose a codec for these two types: formatted text, dates and numbers each have their own.",
)
CODEC_ARGUMENT = declare(
    "LNT141",
    "codec-argument",
    Severity.ERROR,
    "the codec {codec} {problem}",
    why="The conversion would stop at the first letter that has the value.",
    help="`cut(35)` takes a length, `not_in(NAME)` a code map, `only(KIND)` a kind of number.",
)
UNDECLARED_LOSS = declare(
    "LNT142",
    "lossy-codec-undeclared",
    Severity.ERROR,
    "the codec {codec} can lose something on the way {way}, and the rule names no loss for it",
    why="The loss would be silent.",
    help="Add `loss=ID` to the codec, `back_loss=ID` for the way back, or `lossy: ID` to the rule.",
)
TOO_WIDE = declare(
    "LNT143",
    "width-of-letter",
    Severity.ERROR,
    "{codec} lets {size} characters into {path!r}, which holds {most}",
    why="A longer value from FHIR would make a letter that cannot be written as EDIFACT.",
    help="Cut to the length of the element.",
)
SHORT = declare(
    "LNT144",
    "width-not-used",
    Severity.WARNING,
    "{codec} cuts to {size} characters, and {path!r} holds {most}",
    why="More is lost than must be.",
    help="Cut to the length of the element.",
)
REPERTOIRE = declare(
    "LNT145",
    "repertoire-of-letter",
    Severity.ERROR,
    "the text for {path!r} has characters that no EDIFACT letter can hold",
    why="The letter could not be written.",
    help="Use characters of ISO 8859-1.",
)

_TIMES = ("date", "time", "seconds")
# Formatted text in letters, and what each codec reads there; all others read plain values.
TEXT_CODECS = frozenset(["plain_text", "xhtml", "formatted"])
# Codecs that read both.
MIXED = frozenset(["marked"])
# The FHIR types that a codec can write, where it cannot write any text.
GIVES = {
    "local_time": frozenset(["dateTime", "instant", "date"]),
    "local_seconds": frozenset(["dateTime", "instant"]),
    "instant": frozenset(["dateTime", "instant"]),
    "marked": frozenset(["string", "markdown"]),
    "xhtml": frozenset(["xhtml", "string"]),
    "formatted": frozenset(["xhtml", "string"]),
    "number": frozenset(["integer", "positiveInt", "unsignedInt", "decimal"]),
    "plain_text": frozenset(["string", "markdown"]),
    "joined_names": frozenset(["string"]),
    "joined_parts": frozenset(["string", "markdown"]),
    "split_name": frozenset(["string", "markdown"]),
    "name_of_parts": frozenset(["string", "markdown"]),
}
# The FHIR types that only some codecs can write.
NEEDS = {
    "dateTime": frozenset(["local_time", "local_seconds", "instant"]),
    "instant": frozenset(["local_time", "local_seconds", "instant"]),
    "xhtml": frozenset(["xhtml", "formatted"]),
    "integer": frozenset(["number"]),
    "positiveInt": frozenset(["number"]),
    "unsignedInt": frozenset(["number"]),
    "decimal": frozenset(["number"]),
    "boolean": frozenset(),
}
# How many arguments each codec takes, and what they are.
ARGUMENTS = {
    "cut": ("length",),
    "prefix": ("text",),
    "only": ("kind",),
    "same_as": ("path",),
    "other_than": ("path",),
    "not_in": ("map",),
    "municipality": ("map",),
    "joined_names": ("length",),
    "joined_parts": ("length",),
    "split_name": ("length",),
    "matching": ("pattern",),
    "not_matching": ("pattern",),
    "respelt": ("text", "text"),
    "letter_sized": ("length",),
    "fhir_id": ("text?",),
    "marked": ("map", "text?"),
}
KINDS = ("xecpr", "decpr", "neither")


def check(scope: Scope) -> None:
    """All codes, codecs and fixed values of one mapping."""
    _Values(scope).check()


class _Values:
    def __init__(self, scope: Scope) -> None:
        self.scope, self.letters, self.shapes = scope, scope.letters, scope.shapes

    def check(self) -> None:
        for written in self.scope.every_rule():
            back = written.name.startswith("back.")
            if written.rule.map in self.scope.codes:
                self._map(written, self.scope.codes[written.rule.map], back=back)
            else:
                self._codec(written, back=back)
            for path, value in self._fixed_values(written.rule, back=back):
                self._value(path, value, written.rule.place("value"), written.name)
        # The lines of an overlay come first, and the first line for an element wins.
        lines = {str(line["to"]): line for line in reversed(self.scope.document.back.get("fixed", ()))}
        for line in lines.values():
            self._value(str(line["to"]), str(line["value"]), place(line["value"]), "back.fixed")
        for fold in self.scope.document.fold:
            self._repertoire(fold.rule.line, fold.rule.target, fold.rule.place("line"), "back.fold")

    @staticmethod
    def _fixed_values(rule: Rule, *, back: bool) -> list[tuple[str, str]]:
        if not rule.value:
            return []
        return [(rule.target if back else rule.sources[0] if rule.sources else "", rule.value)]

    # -- fixed values of letters

    def _value(self, path: str, value: str, at: Location, name: str) -> None:
        element = self.letters.element(path) if self.letters and path else None
        if element is None or not element.is_leaf:
            return
        problem = self._problem(element, path, value)
        if problem:
            self.scope.add(NOT_A_VALUE, at, rule=name, letter=path, text=value, path=path, problem=problem)
        self._repertoire(value, path, at, name)

    def _problem(self, element: Element, path: str, value: str) -> str:
        codes = self.letters.codes(path) if self.letters else None
        if codes is not None:
            if value in codes:
                return ""
            near = get_close_matches(value, list(codes), 1, 0.7)
            return "its code list does not have it" + (f"; is {near[0]!r} meant?" if near else "")
        if element.type == "an" and not element.length[0] <= len(value) <= element.length[1]:
            return f"it holds {element.length[0]} to {element.length[1]} characters"
        if element.pattern and not re.fullmatch(element.pattern, value):
            return "it has another form"
        if element.type in _TIMES or element.type == "size":
            return "" if re.fullmatch(r"[\d:-]+", value) else f"it is a {element.type}"
        return ""

    def _repertoire(self, text: str, path: str, at: Location, name: str) -> None:
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            self.scope.add(REPERTOIRE, at, rule=name, letter=path, path=path)

    # -- code maps

    def _map(self, written: Written, codes: CodeMap, *, back: bool) -> None:
        rule, name = written.rule, written.name
        for side, columns in (("letter", rule.letter_columns), ("fhir", rule.fhir_columns)):
            for column in columns:
                if codes.columns.get(column) is None:
                    at = rule.place(side)
                    self.scope.add(NO_COLUMN, at, rule=name, map=codes.name, side=side, column=column)
        if any(column not in codes.columns for column in (*rule.letter_columns, *rule.fhir_columns)):
            return
        for column, path in rule.letter_columns.items():
            self._domain(written, codes, column, path, back=back)
        if not back and rule.forward:
            self._range(written, codes)

    def _domain(self, written: Written, codes: CodeMap, column: str, path: str, *, back: bool) -> None:
        rule = written.rule
        known = self.letters.codes(path) if self.letters else None
        if known is None:
            return
        have = {row[column] for row in codes.rows}
        self.scope.domains.setdefault((codes.name, column), []).append((path, known))
        missing = [code for code in known if code not in have]
        alone = not any(o is not rule and set(o.sources) & {path} for o in self._others(written))
        if missing and alone and not back and rule.forward and not rule.otherwise and not rule.lossy and not rule.also:
            told = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
            at = rule.place("map")
            self.scope.add(NOT_COVERED, at, rule=written.name, letter=path, map=codes.name, codes=told, path=path)

    def _others(self, written: Written) -> list[Rule]:
        return [w.rule for w in self.scope.rules() if w.resource is written.resource]

    def _range(self, written: Written, codes: CodeMap) -> None:
        """Every row's FHIR columns in the value sets of their places, code and system together."""
        if self.shapes is None:
            return
        rule = written.rule
        places = {column: self._place(written, text) for column, text in rule.fhir_columns.items()}
        holders = {c: text.rpartition(".")[0] for c, text in rule.fhir_columns.items()}
        for column, found in places.items():
            if found is None or not (
                bound := found.node.binding or self._holder_binding(written, holders[column], found)
            ):
                continue
            values = self.shapes.pack.codes(bound)
            system = next((c for c, t in rule.fhir_columns.items() if t == f"{holders[column]}.system"), "")
            if found.code not in ("code", "uri", "string") or column == system:
                continue
            for number, row in enumerate((*codes.rows, rule.otherwise) if rule.otherwise else codes.rows):
                code = row.get(column, "")
                held = values.holds(row.get(system), code) if system else values.holds_code(code)
                if held is False:
                    at = codes.places[number] if number < len(codes.places) else rule.place("otherwise")
                    told = {"code": code, "map": codes.name, "value_set": values.name}
                    self.scope.add(NOT_OF_FHIR, at, rule=written.name, element=found.node.id, **told)

    def _holder_binding(self, written: Written, holder: str, found: Place) -> str:
        """The value set of the coding that a code is part of."""
        if not holder or found.node.name != "code":
            return ""
        above = self._place(written, holder)
        return above.node.binding if above is not None else ""

    def _place(self, written: Written, text: str) -> Place | None:
        if self.shapes is None:
            return None
        start = self.scope.bundle if written.resource is None else self.scope.resource(written.resource.name)
        slices = self.scope.document.slices
        try:
            if written.each is not None and start is not None:
                start = self.shapes.walk(start, paths.parse(written.each.target, slices))
            return self.shapes.walk(start, paths.parse(text, slices)) if start is not None else None
        except (Unknown, ValueError):
            return None

    # -- codecs

    def _codec(self, written: Written, *, back: bool) -> None:
        rule = written.rule
        codec, at = rule.codec, rule.place("codec", "from")
        problem = self._argument(rule)
        if problem:
            self.scope.add(CODEC_ARGUMENT, at, rule=written.name, codec=codec.name, problem=problem)
            return
        if rule.const is not None or rule.ref or rule.id or rule.value or rule.keep or rule.line:
            return
        self._losses(written, at, back=back)
        leaves = tuple(p.strip() for p in rule.target.strip("[]").split(",")) if back and rule.target else rule.sources
        for path in leaves:
            self._leaf(written, path, at, back=back)
        if not back and rule.target and (rule.forward or rule.back):
            found = self._place(written, rule.target)
            if found is not None and found.primitive:
                self._fhir(written, found, at)

    def _argument(self, rule: Rule) -> str:
        wanted, given = ARGUMENTS.get(rule.codec.name, ()), rule.arguments
        if len(given) < len(wanted):  # the last one may be left out where it says so
            wanted = tuple(kind for kind in wanted if not kind.endswith("?"))
        if len(given) != len(wanted):
            return f"takes {len(wanted)} argument{'s' if len(wanted) != 1 else ''}, and is given {len(given)}"
        for kind, text in zip((kind.removesuffix("?") for kind in wanted), given, strict=True):
            if kind == "length" and not (text.isdigit() and int(text)):
                return f"takes a length, and {text!r} is none"
            if kind == "map" and text not in self.scope.codes:
                return f"takes a code map, and {text!r} is none"
            if kind == "kind" and text not in KINDS:
                return f"takes one of {', '.join(KINDS)}, and {text!r} is none"
            if kind == "path" and self.letters and self.letters.element(text) is None:
                return f"takes an element of the letter, and {text!r} is none"
            if kind == "pattern" and (fault := _pattern_fault(text)):
                return f"takes a pattern, and this one {fault}"
        return ""

    def _losses(self, written: Written, at: Location, *, back: bool) -> None:
        rule, codec = written.rule, written.rule.codec
        if not back and rule.forward and codec.lossy_there and not (rule.lossy or rule.loss or rule.also):
            self.scope.add(UNDECLARED_LOSS, at, rule=written.name, codec=codec.name, way="to FHIR")
        told = rule.lossy or rule.back_loss or rule.loss or codec.name in TEXT_CODECS
        if rule.back and codec.lossy_back and not told:
            self.scope.add(UNDECLARED_LOSS, at, rule=written.name, codec=codec.name, way="back")

    def _leaf(self, written: Written, path: str, at: Location, *, back: bool) -> None:
        element = self.letters.element(path) if self.letters and not path.startswith("$") else None
        if element is None or not element.is_leaf:
            return
        codec, name = written.rule.codec, written.name
        problem = ""
        if codec.name not in MIXED and (element.type == "text") != (codec.name in TEXT_CODECS):
            problem = (
                f"cannot carry {'formatted text' if element.type == 'text' else f'a plain value ({element.facets})'}"
            )
        elif codec.name in ("local_time", "local_seconds") and element.type not in _TIMES:
            problem = f"takes a date and a time, and {path!r} is {element.facets}"
        elif codec.name == "number" and element.type not in ("size", "an"):
            problem = f"takes a number, and {path!r} is {element.facets}"
        if problem:
            self.scope.add(CODEC_TYPE, at, rule=name, letter=path, codec=codec.name, problem=problem)
        elif (
            codec.name in ("cut", "joined_names", "joined_parts", "split_name")
            and element.type == "an"
            and (written.rule.back or back)
        ):
            self._width(written, element, path, at)

    def _width(self, written: Written, element: Element, path: str, at: Location) -> None:
        size, most = int(written.rule.arguments[0]), element.length[1]
        if size != most:
            kind = TOO_WIDE if size > most else SHORT
            codec = f"{written.rule.codec.name}({size})"
            self.scope.add(kind, at, rule=written.name, letter=path, codec=codec, size=size, path=path, most=most)

    def _fhir(self, written: Written, found: Place, at: Location) -> None:
        codec, code = written.rule.codec, found.code
        if not written.rule.sources and written.rule.absent:
            return  # nothing but the reason why there is no value
        gives = GIVES.get(codec.name)
        if (gives is not None and code not in gives) or codec.name not in NEEDS.get(code, {codec.name}):
            problem = f"cannot write a {code}"
        else:
            return
        self.scope.add(CODEC_TYPE, at, rule=written.name, element=found.node.id, codec=codec.name, problem=problem)


def check_rows(scopes: list[Scope], mappings: Mappings, log: IssueLog, *, whole: bool) -> None:
    """Code maps in the light of all mappings: rows that no letter has, codes that never come back, maps without use.

    `whole` says that every mapping was read, so that what none of them uses is not used.
    """
    used = {written.rule.map for scope in scopes for written in scope.every_rule()}
    used |= {a for scope in scopes for written in scope.every_rule() for a in written.rule.arguments}
    lines = " ".join(str(v) for scope in scopes for v in (scope.document.back.get("thread"), *scope.document.fold))
    lines += " ".join(written.rule.line for scope in scopes for written in scope.every_rule())
    for name, codes in mappings.codes.items():
        if whole and name not in used and f"({name})" not in lines:
            log.add(UNUSED_MAP, replace(codes.places[0], column=1, line=1) if codes.places else Location(), map=name)
        for column in codes.columns:
            _rows_of_letters(codes, column, scopes, log)
        _way_back(codes, log)


def _rows_of_letters(codes: CodeMap, column: str, scopes: list[Scope], log: IssueLog) -> None:
    """Rows whose letter code is in the list of no element that the column stands for."""
    domains = [one for scope in scopes for one in scope.domains.get((codes.name, column), ())]
    if not domains:
        return
    known = {code for _, codes_ in domains for code in codes_}
    for row, at in zip(codes.rows, codes.places, strict=True):
        if row[column] not in known:
            near = get_close_matches(row[column], sorted(known), 1, 0.7)
            close = f"; is {near[0]!r} meant?" if near else ""
            log.add(NOT_OF_LETTER, at, code=row[column], path=domains[0][0], close=close)


def _way_back(codes: CodeMap, log: IssueLog) -> None:
    columns = [c for c, side in codes.columns.items() if side == "fhir"]
    if not columns or not any(side == "letter" for side in codes.columns.values()):
        return
    back = {tuple(row[c] for c in columns) for row in codes.rows if row.get("back") != "no"}
    for row, at in zip(codes.rows, codes.places, strict=True):
        key = tuple(row[c] for c in columns)
        if key not in back:
            log.add(ONE_WAY_ROW, at, map=codes.name, code=row[columns[-1]])
            back.add(key)


def _pattern_fault(pattern: str) -> str:
    """What is wrong with a pattern; nested repetitions can take for ever on a crafted text."""
    try:
        re.compile(pattern)
    except re.error:
        return "is not a regular expression"
    return "repeats a repetition, which can take for ever" if re.search(r"[+*}]\)[+*{]", pattern) else ""
