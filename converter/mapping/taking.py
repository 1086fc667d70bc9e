"""The operations of the way back: what generated code calls to take values out of a Bundle, leaf by leaf.

Every primitive value of the Bundle ends with one ledger entry: a rule took it, it is a constant or rebuilt by nature,
or the mapping's `not_carried` list names its loss. What no line names is lost under the catch-all id, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from converter.directory import Organisation
from converter.issues import IssueLog, Severity, declare
from converter.letter import Letter, Text, Value, counts_of, pattern
from converter.mapping import guards, paths
from converter.mapping.ids import Minter, netstrings, short
from converter.mapping.paths import Node, walk
from converter.mapping.running import GLN_IN_PLACE, SEVERAL_ORGANISATIONS, Context, Raw, origin_values
from converter.mapping.thread import Template, Thread, render

if TYPE_CHECKING:
    from converter.mapping.backward import Plan
    from converter.mapping.document import Document, Rule

NO_CURRENT_PART = declare(
    "MAP010",
    "current-part-unknown",
    Severity.WARNING,
    "the Provenance of this message names none of its texts; the newest one is taken as new",
    why="An older text of the thread could be shown as the new one.",
    help="The sender's system must give each payload's identifier as a source entity of the message's Provenance.",
    source="CareCommunication 5.0, Provenance.entity",
)
CATCH_ALL = "F91-24"


class Taking:
    """One Bundle on its way to a letter. `resources` holds the bound resources by their names in the mapping."""

    def __init__(self, document: Document, sections: Mapping[str, Any], bundle: dict[str, Any], ctx: Context) -> None:
        self.document, self.sections, self.bundle, self.ctx = document, sections, bundle, ctx
        self.log: IssueLog = ctx.log
        self.top = Node("", bundle)
        self.follow = paths.index(bundle)
        self.resources: dict[str, Node | None] = {}
        self.values: dict[str, Value] = {}
        self.led: dict[str, Raw] = {}
        self.dfl: list[Raw] = []
        self.born = "fhir"
        self.selections: dict[str, list[Node]] = {}
        self.spilled: list[Node] = []
        if ctx.original is not None:  # the message that a receipt answers: `$original.letter_id`
            self.selections["original"] = [Node("$original", ctx.original.facts())]

    # -- finding -----------------------------------------------------------------------------------------------------

    def entry(self, number: int) -> Node | None:
        """The resource of an entry, by number."""
        entries = self.bundle.get("entry")
        if not isinstance(entries, list) or number >= len(entries) or not isinstance(entries[number], dict):
            return None
        resource = entries[number].get("resource")
        return Node(f"/entry/{number}/resource", resource) if isinstance(resource, dict) else None

    def entries(self) -> Iterator[Node]:
        """All resources of the Bundle."""
        for number in range(len(self.bundle.get("entry") or ())):
            node = self.entry(number)
            if node is not None:
                yield node

    def pointing(self, kind: str, element: str, name: str) -> list[Node]:
        """The resources of a type whose element refers to a bound resource, in their order."""
        wanted, found = self.resources.get(name), []
        for node in self.entries():
            if wanted is None or node.value.get("resourceType") != kind:
                continue
            targets = node.value.get(element)
            for target in targets if isinstance(targets, list) else [targets]:
                reference = target.get("reference") if isinstance(target, dict) else None
                if isinstance(reference, str) and self.follow.get(reference) == wanted:
                    found.append(node)
        return found

    @staticmethod
    def last(nodes: list[Node]) -> Node | None:
        """The last of some nodes, or None."""
        return nodes[-1] if nodes else None

    @staticmethod
    def distinct(nodes: list[Node]) -> list[Node]:
        """The nodes in their order, each once."""
        return list({node.pointer: node for node in nodes}.values())

    @staticmethod
    def fits(node: Node, kind: str, profile: str) -> bool:
        """Whether a resource has a type, and claims a profile or none at all."""
        meta = node.value.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        bare = [str(p).partition("|")[0] for p in claimed] if isinstance(claimed, list) else []
        return node.value.get("resourceType") == kind and (not bare or not profile or profile in bare)

    def first_fit(self, start: Node | None, path: paths.Path, kind: str, profile: str) -> Node | None:
        """The first resource of a type and profile that a list of references leads to."""
        return next((node for node in self.nodes(start, path) if self.fits(node, kind, profile)), None)

    def first(self, start: Node | None, path: paths.Path) -> Node | None:
        """The first node of a path, or None."""
        found = walk(start, path, self.follow) if start is not None else None
        return found[0] if found else None

    def nodes(self, start: Node | None, path: paths.Path) -> list[Node]:
        """All nodes of a path."""
        return walk(start, path, self.follow) if start is not None else []

    def text(self, start: Node | None, path: paths.Path) -> str | None:
        """The first value of a path as text, `true` and `false` for booleans; objects count as present."""
        node = self.first(start, path)
        return None if node is None else plain(node.value)

    def selected(self, name: str) -> Node | None:
        """The first item of a selection."""
        items = self.selections.get(name, ())
        return items[0] if items else None

    # -- what kind of Bundle -----------------------------------------------------------------------------------------

    def recognise(self) -> None:
        """Restore the values that `Bundle.identifier` of a letter-born Bundle names."""
        doc = self.document
        identifier = self.bundle.get("identifier")
        if not isinstance(identifier, dict) or identifier.get("system") != doc.origin_system or self.ctx.born == "fhir":
            return
        parts = origin_values(str(identifier.get("value", "")))
        if len(parts) != len(doc.origin):
            return
        self.born = "letter"
        self.values.update({path: part for path, part in zip(doc.origin, parts, strict=True) if part})

    def is_own(self) -> bool:
        """Whether a Bundle taken as letter-born still is what forward made: its header's id follows from the letter."""
        header = next(iter(self.resources.values()))
        key = [self._key(path) for path in self.document.key]
        if header is None or None in key:
            return False
        name = next(iter(self.document.resources))
        kind = self.document.resources[name].type
        return bool(header.value.get("id") == Minter(netstrings([k or "" for k in key])).v5(kind, name))

    def _key(self, path: str) -> str | None:
        value = self.document.letter if path == "$type" else self.values.get(path)
        return value if isinstance(value, str) else None

    def select(self) -> None:
        """Tell the thread's new texts and files from the earlier ones, by the Provenance of this message."""
        section = self.sections["thread"]
        compiled: Mapping[str, paths.Path] = section["paths"]
        communication = self._start(str(section["payloads"]))
        items = self.nodes(communication, compiled["payloads"])
        named = {n.value for n in self.nodes(self._start(str(section["named"])), compiled["named"])}
        texts = [n for n in items if "contentString" in n.value]
        if self.born == "letter":
            own = texts
        else:
            own = [n for n in texts if self.text(n, compiled["key"]) in named]
        if texts and not own:
            own = [max(texts, key=lambda n: self.text(n, compiled["date"]) or "")]
            self.log.add(NO_CURRENT_PART, target=own[0].pointer)
        earlier = [n for n in texts if n not in own]
        earlier.sort(key=lambda n: self.text(n, compiled["date"]) or "", reverse=True)
        self.selections["own_text"], self.selections["earlier"] = own, earlier
        files = [n for n in items if isinstance(n.value.get("contentAttachment"), dict)]
        self.selections["files_without_content"] = [
            n for n in files if not {"data", "url"} & n.value["contentAttachment"].keys()
        ]

    def _start(self, path: str) -> Node | None:
        return self.resources.get(path.partition(".")[0])

    # -- rules -------------------------------------------------------------------------------------------------------

    def note(self, pointer: str, disposition: str, rule: str, leaf: str = "", loss: str = "") -> None:
        """Enter a value of the Bundle into the ledger, unless another rule has it already."""
        self.led.setdefault(pointer, (pointer, disposition, rule, leaf, loss))

    def take(self, scope: Node | None, plan: Plan, name: str, prefix: str = "", group: str = "") -> None:
        """Carry one value (or list of values) to the letter's leaves."""
        start = plan.start(self, scope)
        found = self.nodes(start, plan.path)
        if not plan.list:
            found = found[:1]
        if not found or any(isinstance(n.value, dict | list) for n in found) or not plan.leaves:
            return
        raw = [n.value for n in found] if plan.list else found[0].value
        rule, leaves = plan.rule, [_leaf(path, prefix, group) for path in plan.leaves]
        if plan.default is not None and raw == plan.default and self.born == "letter":
            self._all(found, "constant-checked", name)
            return
        text, lost = self._text_of(rule, raw, leaves)
        values, inner = plan.convert(self, text, leaves, lost)
        if values is None or any(leaf in self.values and self.values[leaf] != v for leaf, v in values):
            return
        self.values.update(values)
        lossy = (inner and (rule.back_loss or rule.lossy)) or plan.loss
        self._all(found, "mapped-lossy" if lossy else "mapped", name, leaves[0], lossy)

    def _text_of(self, rule: Any, raw: Any, leaves: list[str]) -> tuple[Any, bool]:
        """Take a sentence that stands for a code off the first text of a letter-born Bundle."""
        if rule.sentence and self.born == "letter" and "[1]" in leaves[0] and str(raw).startswith(rule.sentence):
            leaf = guards.guard_paths(rule.sentence_when)[0].removeprefix("/")
            self.values[leaf] = rule.sentence_when.partition("==")[2].strip()
            return str(raw)[len(rule.sentence) :], False
        return raw, False

    def _all(self, found: list[Node], disposition: str, name: str, leaf: str = "", loss: str = "") -> None:
        for node in found:
            self.note(node.pointer, disposition, name, leaf, loss)

    def constant(self, scope: Node | None, plan: Plan, name: str) -> None:
        """Values that forward always writes: checked, not carried; others stay for the lines of `not_carried`."""
        for node in self.nodes(scope, plan.path)[:1]:
            const = plan.rule.const
            pairs = const.items() if isinstance(const, dict) else [("", const)]
            for key, value in pairs:
                have = node.value.get(key) if key and isinstance(node.value, dict) else node.value
                if have == value:
                    self.note(f"{node.pointer}/{key}" if key else node.pointer, "constant-checked", name)

    def identity(self, scope: Node | None, plan: Plan, name: str) -> None:
        """Ids that forward makes anew from the letter."""
        if self.born == "letter":
            self._all(self.nodes(scope, plan.path)[:1], "constant-checked", name)

    def rebuilt(self, scope: Node | None, plan: Plan, name: str) -> None:
        """Values that forward makes from others: in a letter-born Bundle they say nothing new."""
        for start, path in plan.columns or [("", plan.path)]:
            node = self.resources.get(start) if start else scope
            self._all(self.nodes(node, path)[:1], "constant-checked", name)

    def keep(self, scope: Node | None, plan: Plan, name: str, prefix: str) -> None:
        """Values for the sidecar; without one they are lost under the rule's loss."""
        for node in self.nodes(scope, plan.path)[:1]:
            if self.ctx.sidecar:
                self.ctx.keeping[prefix + plan.rule.target] = node.value
            self.note(node.pointer, "kept" if self.ctx.sidecar else "lost", name, "", plan.rule.loss)

    def map(self, scope: Node | None, plan: Plan, name: str, prefix: str = "", group: str = "") -> None:
        """Look up a row of a code map by the values of its FHIR columns."""
        nodes = [self.first(self.resources.get(r) if r else scope, path) for r, path in plan.columns]
        row = plan.table.get(tuple(plain(n.value) if n else "" for n in nodes))
        if row is None:
            return
        leaves = {_leaf(path, prefix, group): row[column] for column, path in plan.rule.letter_columns.items()}
        if any(self.values.get(leaf, value) != value for leaf, value in leaves.items()):
            return
        self.values.update(leaves)
        self._all([n for n in nodes if n is not None], "mapped", name, next(iter(leaves)))

    def value(self, scope: Node | None, plan: Plan, name: str, prefix: str = "", group: str = "") -> None:
        """Set a leaf to a fixed value if nothing has set it yet."""
        rule, leaf = plan.rule, _leaf(plan.leaves[0], prefix, group)
        if leaf in self.values:
            return
        self.values[leaf] = rule.value
        for resource, path in plan.claims:
            for node in self.nodes(self.resources.get(resource) if resource else scope, path)[:1]:
                self.note(node.pointer, "mapped-lossy" if rule.loss else "mapped", name, leaf, rule.loss)
        if rule.defaulted:
            self.dfl.append(("", "defaulted", name, leaf, rule.loss))

    def give_up(self, plan: Plan, name: str) -> None:
        """Values that no letter can say, under their loss: one of severity block refuses the message."""
        for resource, path in plan.claims:
            for node in self.nodes(self.resources.get(resource), path)[:1]:
                self.note(node.pointer, "lost", name, "", plan.rule.loss)

    def line(self, scope: Node | None, plan: Plan, name: str) -> None:
        """Compose a leaf from a line of text with values of the Bundle in it."""
        rule, leaf = plan.rule, plan.leaves[0]
        text, used = render(self, plan.template, scope)
        if not text:
            return
        value, lost = (
            rule.codec.back(text, *plan.arguments) if rule.codec.back and rule.codec.lossy_back else (text, False)
        )
        if self.values.setdefault(leaf, value) != value:
            return  # as in `take`: what stands there is not written over, and these values have no home here
        for node in used:
            self.note(node.pointer, "folded-to-text", name, leaf, rule.lossy if lost else rule.loss)

    def written(self, scope: Node | None, path: paths.Path, name: str) -> None:
        """What a slice wrote into its items: checked, not carried; other values stay for the lines of `not_carried`."""
        slice_ = path[-1].slice
        for node in self.nodes(scope, path) if slice_ is not None and not path[-1].negated else ():
            for leaf in _same(node, slice_.write if slice_ is not None else {}):
                self.note(leaf.pointer, "constant-checked", name)

    def leave(self, name: str, node: Node) -> None:
        """A resource beyond what the letter can hold: the selection `$NAME` keeps it for the lines of `fold`."""
        self.selections.setdefault(name, []).append(node)

    def fold(self, rule: Rule, template: Template, scope: Node | None) -> None:
        """Add a line of text to a leaf, unless all that it shows is carried already."""
        text, used = render(self, template, scope)
        if not text or all(node.pointer in self.led for node in used):
            return
        before, lost = self.values.get(rule.target), False
        if rule.codec.name == "copy":
            self.values[rule.target] = _with_line(before, text)
        else:
            joined = f"{before}; {text}" if before else text
            assert rule.codec.back is not None
            back = rule.codec.back(joined, *rule.arguments)
            self.values[rule.target], lost = back if rule.codec.lossy_back else (back, False)
        for node in used:
            self.note(node.pointer, "folded-to-text", "back.fold", rule.target, rule.lossy if lost else rule.loss)

    def end(self, rule: Rule, template: Template, within: int) -> None:
        """End a text with a line that stands whole: what is before it is shortened, so that both fit."""
        line = render(self, template, None)[0]
        if not line:
            return
        before = self.values.get(rule.target) or ""
        words = before if isinstance(before, str) else "".join(text for _, text in before)
        room = within - len(line) - 1
        if len(words.rstrip("\n")) > room:
            before = (("P00", words[: max(room, 0)].rstrip() + "\n"),) if room > 0 else ()
            self.dfl.append(("", "mapped-lossy", "back.fold", rule.target, rule.lossy))
        self.values[rule.target] = _with_line(before, line)
        self.dfl.append(("", "defaulted", "back.fold", rule.target, rule.loss))

    def derived(self, scope: Node, target: paths.Path, source: Node | None, values: paths.Path, name: str) -> None:
        """Items that forward makes from another list."""
        known = {n.value for n in self.nodes(source, values)}
        self._all([n for n in self.nodes(scope, target) if n.value in known], "constant-checked", name)

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Everything of the section `back` that is not a rule, in its fixed order."""
        back = self.sections
        for path, value in self.ctx.kept.items():
            if pattern(path) in back["kept"]:
                self.values.setdefault(path, value)
        for entry in back.get("fixed", ()):
            self.values.setdefault(str(entry["to"]), str(entry["value"]))
        header = next(iter(self.resources.values()))
        for entry in back.get("minted", ()):
            if self.born == "fhir" and header is not None:
                kind = str(entry["kind"])
                if self.ctx.letters > 1 and self.ctx.original is not None:  # one of several letters of one Bundle
                    kind += self.ctx.original.letter_id
                self.values.setdefault(str(entry["to"]), short(kind, str(header.value.get("id", ""))))
        for entry in back.get("parties", ()):
            self._party(entry)
        if self.born == "fhir" and "patient_ids" in back:
            self._patient_ids(back["patient_ids"])
        if self.born == "fhir" and "thread" in back:
            Thread(self, back["thread"]).write()
        for fold in back["fold"] if self.born == "fhir" else ():
            fold(self)

    def _party(self, entry: Mapping[str, Any]) -> None:
        party, node = str(entry["party"]), self.resources.get(str(entry["resource"]))
        if "name" in entry:
            self._name(entry, party)
        identifier, kind = f"{party}.Identifier", f"{party}.IdentifierCode"
        if node is None or identifier in self.values:
            return
        for way in entry["order"]:
            found = self._address(way, party, node)
            if found is not None:
                value, code, source = found
                self.values[identifier], self.values[kind] = value, code
                if source is not None:
                    self.note(source.pointer, "mapped", f"back.{party}", identifier)
                return

    def _name(self, entry: Mapping[str, Any], party: str) -> None:
        """A mandatory name that the Bundle lacks: the table's, else the location number."""
        leaf, gln = str(entry["name"]), self.values.get(f"{party}.EANIdentifier")
        if leaf in self.values or not isinstance(gln, str):
            return
        row = self._row(gln, party)
        self.values[leaf] = (row.name if row else "") or gln
        self.dfl.append(("", "defaulted", f"back.{party}", leaf, str(entry["loss"])))

    def _address(self, way: Any, party: str, node: Node) -> tuple[str, str, Node | None] | None:
        gln = self.values.get(f"{party}.EANIdentifier")
        if way == "table":
            return self._table(party, str(gln or ""))
        if way == "gln":
            if not isinstance(gln, str):
                return None
            self.log.add(GLN_IN_PLACE, target=f"{party}.Identifier", party=party)
            self.dfl.append(("", "defaulted", f"back.{party}", f"{party}.Identifier", "F91-23"))
            return gln, "lokationsnummer", None
        slice_name, code = ("identifier[sor]", "sorkode") if way == "sor" else (str(way["slice"]), str(way["code"]))
        found = self.first(node, paths.parse(f"{slice_name}.value", self.document.slices))
        return (str(found.value), code, found) if found is not None else None

    def _table(self, party: str, gln: str) -> tuple[str, str, Node | None] | None:
        row = self._row(gln, party)
        return (row.id, row.id_kind, None) if row is not None and row.id and row.id_kind else None

    def _row(self, gln: str, party: str) -> Organisation | None:
        """The one row of the organisation table that is valid on the message's date."""
        if self.ctx.directory is None:
            return None
        rows = self.ctx.directory.rows(gln, str(self.values.get("Envelope.Sent.Date", "")))
        if len(rows) > 1:
            self.log.add(SEVERAL_ORGANISATIONS, target=f"{party}.Identifier", rows=len(rows), party=party)
        return rows[0] if len(rows) == 1 else None

    def _patient_ids(self, section: Mapping[str, Any]) -> None:
        start = self._start(str(section["of"]))
        whole = self.nodes(start, paths.parse(str(section["of"]).partition(".")[2], self.document.slices))
        ordered = []
        for entry in section["prefer"]:
            path = paths.parse(str(entry["slice"]), self.document.slices)
            ordered += [(n, str(entry["to"])) for n in self.nodes(start, path)]
        ordered += [(n, "") for n in whole if n not in [o for o, _ in ordered]]
        for number, (node, leaf) in enumerate(ordered):
            value = node.value.get("value") if isinstance(node.value, dict) else None
            if value is None:
                continue
            if not number and leaf:
                self.values[leaf] = str(value)
                self.note(f"{node.pointer}/value", "mapped", "back.patient_ids", leaf)
            else:
                self.spilled.append(node)

    def letter(self, version: str) -> Letter:
        """The letter that was taken."""
        code = self.values.get("Letter.VersionCode")
        own = code[1:] if isinstance(code, str) and code.startswith("X") else version
        return Letter(self.document.letter, own, "fhir", self.values, counts_of(self.values))

    def sweep(self, leaves: Iterator[tuple[str, Any, bool]]) -> list[Raw]:
        """One entry for every leaf of the Bundle: (pointer, value, whether it is rebuilt by nature)."""
        entries = []
        types = {f"/entry/{n}/": r for n, r in enumerate(self._types())}
        for pointer, value, by_nature in leaves:
            entry = self.led.get(pointer)
            if entry is None:
                entry = (
                    (pointer, "constant-checked", "", "", "") if by_nature else self._not_carried(pointer, value, types)
                )
            entries.append(entry)
        return entries

    def _types(self) -> list[str]:
        return [
            str(e["resource"].get("resourceType", ""))
            if isinstance(e, dict) and isinstance(e.get("resource"), dict)
            else ""
            for e in self.bundle.get("entry") or ()
        ]

    def _not_carried(self, pointer: str, value: Any, types: Mapping[str, str]) -> Raw:
        parts = pointer.split("/")
        if pointer.startswith("/entry/") and len(parts) > 4:
            path = ".".join([types.get(f"/entry/{parts[2]}/", ""), *[p for p in parts[4:] if not p.isdigit()]])
        else:
            path = ".".join(["Bundle", *[p for p in parts[1:] if not p.isdigit()]])
        for line in self.sections["lines"](path):
            if line.get("when_born", self.born) != self.born:
                continue
            constant = line.get("constant")
            if constant is None:
                return (pointer, "ignored", "not_carried", "", line["loss"])
            if constant in ("any", plain(value)):
                return (pointer, "constant-checked", "not_carried", "", "")
        return (pointer, "lost", "", "", CATCH_ALL)


def plain(value: Any) -> str:
    """A FHIR value as text for comparisons."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _same(node: Node, pattern: Any) -> Iterator[Node]:
    """The values below a node that equal those of a pattern; each item of a list may be any of the pattern's."""
    if isinstance(pattern, dict) and isinstance(node.value, dict):
        for key, value in pattern.items():
            if key in node.value:
                yield from _same(Node(f"{node.pointer}/{key}", node.value[key]), value)
    elif isinstance(pattern, list) and isinstance(node.value, list):
        for number, item in enumerate(node.value):
            for value in pattern:
                yield from _same(Node(f"{node.pointer}/{number}", item), value)
    elif type(pattern) is type(node.value) and pattern == node.value and not isinstance(pattern, dict | list):
        yield node


def _with_line(before: Value | None, line: str) -> Text:
    """A text with a plain line after it."""
    runs = list(before) if isinstance(before, tuple) else []
    if runs and not runs[-1][1].endswith("\n"):
        runs[-1] = (runs[-1][0], runs[-1][1] + "\n")
    if runs and runs[-1][0] == "P00":
        return (*runs[:-1], ("P00", f"{runs[-1][1]}{line}\n"))
    return (*runs, ("P00", line + "\n"))


def _leaf(path: str, prefix: str, group: str) -> str:
    return prefix + path[len(group) + 1 :] if group and path.startswith(group + ".") else path
