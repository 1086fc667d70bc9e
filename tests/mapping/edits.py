"""Realistic mistakes in mapping files, one at a time, as changes of their text (kinds: `experiment.yaml`)."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.mapping.codecs import CODECS
from converter.yamlfile import Map, Seq, Str, load, place

Change = Callable[[str], str]
ARROW = re.compile(r"^(?P<left>.+?)\s*(?P<arrow><->|->|<-)\s*(?P<right>[^|]+?)\s*(?:\|\s*(?P<codec>.+))?$", re.S)
LETTER = re.compile(r"/?(?:\$[a-z]+\.)?(?:[A-Z]\w*(?:\[\*\])?\.)*[A-Z]\w*\Z")
WORD = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True, slots=True)
class Edit:
    """One mistake: the file, the line, what is done, and the text afterwards."""

    kind: str
    file: str
    line: int
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it stands in a file: its name, its entry, the group of rules that it belongs to, and its resource."""

    name: Str
    entry: Any
    siblings: Map

    def field(self, key: str) -> tuple[Str, str] | None:
        """The text that holds a field and the field itself (part of that text in the short form)."""
        if isinstance(self.entry, Str):
            match = ARROW.match(self.entry)
            found = {"from": "left", "to": "right", "codec": "codec"}.get(key)
            return (self.entry, match[found]) if match and found and match[found] else None
        value = self.entry.get(key) if isinstance(self.entry, Map) else None
        return (value, str(value)) if isinstance(value, Str) else None


class Editor:
    """All mistakes that can be made in one folder of mapping files."""

    def __init__(self, folder: Path, groups: list[str], seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.files = {p.relative_to(folder).as_posix(): p for g in groups for p in sorted((folder / g).glob("*.yaml"))}
        self.texts = {name: path.read_text(encoding="utf-8") for name, path in self.files.items()}
        self.loaded = {name: load(path, name=name) for name, path in self.files.items()}
        self.slices = sorted({str(k) for one in self.loaded.values() for k in one.get("slices", {})})
        self.losses = sorted(map(str, load(folder / "losses.yaml")["losses"]))

    def choose(self, kinds: dict[str, int], number: int) -> list[Edit]:
        """So many mistakes, each another one; kinds by weight, places by chance."""
        found: dict[tuple[str, str], Edit] = {}
        names, weights = list(kinds), list(kinds.values())
        places = {kind: list(getattr(self, f"_{kind}")()) for kind in names}
        for kind in names:
            assert places[kind], f"nothing to edit: {kind}"
        while len(found) < number:
            kind = self.random.choices(names, weights)[0]
            file, at, what, change = self.random.choice(places[kind])
            text = change(self.texts[file])
            if text != self.texts[file]:
                found.setdefault((file, text), Edit(kind, file, at, what, text))
        return list(found.values())

    # -- what stands where

    def _mappings(self) -> Iterator[tuple[str, Map]]:
        yield from ((n, d) for n, d in self.loaded.items() if not n.startswith("codes/"))

    def _maps(self) -> Iterator[tuple[str, Map]]:
        yield from ((n, d) for n, d in self.loaded.items() if n.startswith("codes/") and d.get("rows"))

    def _rules(self, name: str) -> Iterator[Rule]:
        document = self.loaded[name]
        tops = [document.get("bundle_rules"), document.get("back", Map()).get("rules")]
        for key in ("resources", "parts"):
            tops += [one.get("rules") for one in document.get(key, {}).values() if isinstance(one, Map)]
        while tops:
            rules = tops.pop(0)
            for key, entry in (rules or {}).items():
                yield Rule(key, entry, rules)
                if isinstance(entry, Map) and "rules" in entry:
                    tops.append(entry["rules"])

    def _all_rules(self) -> Iterator[tuple[str, Rule]]:
        for name, _ in self._mappings():
            yield from ((name, rule) for rule in self._rules(name) if rule.entry not in ("remove",))

    def _walk(self, value: Any, key: str = "") -> Iterator[tuple[str, Str]]:
        """Every text of a file with the key that it stands under."""
        if isinstance(value, Map):
            for name, child in value.items():
                yield from self._walk(child, str(name))
        elif isinstance(value, Seq):
            for child in value:
                yield from self._walk(child, key)
        elif isinstance(value, Str):
            yield key, value

    def _texts(self, *keys: str) -> Iterator[tuple[str, Str]]:
        for name, document in self._mappings():
            yield from ((name, text) for key, text in self._walk(document) if key in keys)

    def _letter_paths(self) -> Iterator[tuple[str, Str, str]]:
        """Every letter path: the file, the text that holds it, the path."""
        for name, rule in self._all_rules():
            found = rule.field("from")
            texts = [found] if found else []
            columns = rule.entry.get("letter") if isinstance(rule.entry, Map) else None
            texts += [(text, str(text)) for text in columns.values()] if isinstance(columns, Map) else []
            for holder, text in texts:
                yield from ((name, holder, p) for p in _listed(text) if LETTER.match(p))
        for name, text in self._texts("when", "anchor", "claims"):
            yield from ((name, text, p) for p in re.findall(r"/?(?:\$[a-z]+\.)?[A-Z]\w*(?:\.[A-Z]\w*)+", text))
        for name, text in self._texts("from"):
            if LETTER.match(text):
                yield name, text, str(text)

    def _fhir_paths(self) -> Iterator[tuple[str, Str, str]]:
        for name, rule in self._all_rules():
            found = rule.field("to")
            if found and not LETTER.match(_listed(found[1])[0]):
                yield name, *found
        for name, text in self._texts("found", "path", "when_fhir", "claims_fhir"):
            yield from (
                (name, text, p) for p in re.findall(r"[a-z]\w*(?:\[[^\]]*\])?(?:\.[a-z]\w*(?:\[[^\]]*\])?)+", text)
            )

    # -- kinds

    def _replaced(self, name: str, holder: Str, old: str, new: Callable[[], str], what: str) -> Any:
        line = holder.at.line
        return name, line, what, lambda text: _at(text, holder, old, new())

    def _letter_path_typo(self) -> Iterator[Any]:
        for name, holder, path in self._letter_paths():
            yield self._replaced(name, holder, path, lambda p=path: self._typo(p), f"typo in {path}")

    def _fhir_path_typo(self) -> Iterator[Any]:
        for name, holder, path in self._fhir_paths():
            yield self._replaced(name, holder, path, lambda p=path: self._typo(p), f"typo in {path}")

    def _swapped_source(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("from")
            if not found or not LETTER.match(found[1]):
                continue
            group = found[1].rpartition(".")[0]
            every = {p for n, _, p in self._letter_paths() if n == name and p.rpartition(".")[0] == group} - {found[1]}
            for other in sorted(every):
                yield self._replaced(name, *found, lambda o=other: o, f"{found[1]} becomes {other}")

    def _swapped_target(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("to")
            for key, entry in rule.siblings.items():
                other = Rule(key, entry, rule.siblings).field("to")
                if found and other and other[1] != found[1]:
                    yield self._replaced(name, *found, lambda o=other[1]: o, f"{found[1]} becomes {other[1]}")

    def _wrong_slice(self) -> Iterator[Any]:
        for name, holder, path in self._fhir_paths():
            for step in re.findall(r"[a-z]\w*\[[a-zA-Z]\w*\]", path):
                for other in self.slices:
                    if other.partition("[")[0] == step.partition("[")[0] and other != step:
                        yield self._replaced(name, holder, step, lambda o=other: o, f"{step} becomes {other}")

    def _wrong_resource(self) -> Iterator[Any]:
        every = sorted({str(text) for _, text in self._texts("ref") if not text.startswith("$")})
        for name, text in self._texts("ref"):
            for other in every:
                if other != text:
                    yield self._replaced(name, text, str(text), lambda o=other: o, f"ref {text} becomes {other}")

    def _wrong_anchor(self) -> Iterator[Any]:
        for name, text in self._texts("anchor"):
            for other in sorted({str(o) for n, o in self._texts("anchor") if n == name and o != text}):
                yield self._replaced(name, text, str(text), lambda o=other: o, f"anchor {text} becomes {other}")

    def _name_typo(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("codec")
            if found:
                codec = found[1].partition("(")[0]
                yield self._replaced(name, found[0], codec, lambda c=codec: self._typo(c), f"typo in codec {codec}")
        for name, text in self._texts("map", "loss", "part", "uses", "ref", "lossy", "extends"):
            yield self._replaced(name, text, str(text), lambda t=text: self._typo(t), f"typo in {text}")

    def _wrong_fixed(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            const = rule.entry.get("const") if isinstance(rule.entry, Map) else None
            for _, text in self._walk(const):
                yield self._replaced(name, text, str(text), lambda t=text: self._other(t), f"constant {text} altered")

    def _wrong_code_in_guard(self) -> Iterator[Any]:
        codes = {}
        for name, text in self._texts("when", "when_fhir"):
            codes[name] = codes.get(name, set()) | set(_literals(text))
        for name, text in self._texts("when", "when_fhir"):
            for code in _literals(text):
                yield self._replaced(name, text, code, lambda c=code: self._typo(c), f"typo in code {code}")
                for other in sorted(codes[name] - {code}):
                    yield self._replaced(name, text, code, lambda o=other: o, f"code {code} becomes {other}")

    def _changed_default(self) -> Iterator[Any]:
        for name, text in self._texts("default", "otherwise"):
            yield self._replaced(name, text, str(text), lambda t=text: self._other(t), f"default {text} altered")
        for name, document in self._mappings():
            for rule in self._rules(name):
                least = rule.entry.get("at_least") if isinstance(rule.entry, Map) else None
                if least:
                    text = least["value"]
                    yield self._replaced(name, text, str(text), lambda t=text: self._other(t), "at_least altered")
                other = rule.entry.get("otherwise") if isinstance(rule.entry, Map) else None
                for _, text in self._walk(other):
                    yield self._replaced(name, text, str(text), lambda t=text: self._other(t), f"otherwise {text}")
            del document

    def _changed_value(self) -> Iterator[Any]:
        for name, text in self._texts("value"):
            if not re.search(r"[.\[{]", text):
                yield self._replaced(name, text, str(text), lambda t=text: self._other(t), f"value {text} altered")

    def _wrong_codec(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("codec")
            codec = found[1].partition("(")[0] if found else ""
            for other in sorted(CODECS) if found else ():
                if other != codec and CODECS[other].sources == CODECS[codec].sources:
                    yield self._replaced(name, found[0], codec, lambda o=other: o, f"codec {codec} becomes {other}")

    def _dropped_codec(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("codec")
            if found and found[0] is rule.entry:
                match = re.search(r"\s*\|\s*" + re.escape(found[1]), rule.entry)
                yield self._replaced(name, found[0], match[0], lambda: "", f"codec {found[1]} dropped")
            elif found:
                yield name, found[0].at.line, f"codec {found[1]} dropped", self._without(rule.entry, "codec")

    def _changed_argument(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            found = rule.field("codec")
            arguments = found[1].partition("(")[2].rstrip(")") if found else ""
            if arguments:
                what = f"argument of {found[1]} altered"
                yield self._replaced(name, found[0], arguments, lambda a=arguments: self._other(a), what)

    def _removed_rule(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            if len(rule.siblings) > 1:
                yield name, rule.name.at.line, f"rule {rule.name} removed", lambda t, r=rule: _without_entry(t, r.name)

    def _removed_accounting(self) -> Iterator[Any]:
        for name, document in self._mappings():
            for key, items in _lists(document):
                if key in ("ignore", "keep", "not_carried") and len(items) > 1:
                    for item in items:
                        at = place(item)
                        yield name, at.line, f"line of {key} removed", lambda t, n=at.line: _without_line(t, n)

    def _guard_negated(self) -> Iterator[Any]:
        for name, text in self._texts("when", "when_fhir"):
            yield self._replaced(name, text, str(text), lambda t=text: _negated(t), f"guard {text} negated")

    def _guard_dropped(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            for key in ("when", "when_fhir", "born"):
                if isinstance(rule.entry, Map) and key in rule.entry:
                    what = f"{key} {rule.entry[key]} dropped"
                    yield name, place(rule.entry[key]).line, what, self._without(rule.entry, key)

    def _arrow_turned(self) -> Iterator[Any]:
        for name, rule in self._all_rules():
            if isinstance(rule.entry, Str) and "<->" in rule.entry:
                for way in ("forward", "back"):
                    yield self._replaced(
                        name,
                        rule.entry,
                        str(rule.entry),
                        lambda r=rule, w=way: _one_way(r, w),
                        f"{rule.name} only {way}",
                    )
            elif isinstance(rule.entry, Map) and "direction" in rule.entry:
                text = rule.entry["direction"]
                other = "back" if text == "forward" else "forward"
                yield self._replaced(name, text, str(text), lambda o=other: o, f"direction of {rule.name} turned")

    def _wrong_loss(self) -> Iterator[Any]:
        for name, text in self._texts("loss", "lossy", "absent"):
            if text in self.losses:
                yield self._replaced(name, text, str(text), self._loss, f"another loss than {text}")

    def _wrong_parameter(self) -> Iterator[Any]:
        for name, document in self._mappings():
            applied = [a for a in _applications(document) if a.get("with")]
            for one in applied:
                for key, text in one["with"].items():
                    others = {str(o["with"].get(key)) for o in applied if o["part"] == one["part"]} - {
                        str(text),
                        "None",
                    }
                    for other in sorted(others):
                        yield self._replaced(name, text, str(text), lambda o=other: o, f"{key}: {text} becomes {other}")

    def _wrong_profile(self) -> Iterator[Any]:
        for key in ("profile", "type"):
            for name, document in self._mappings():
                resources = [r for r in document.get("resources", {}).values() if isinstance(r, Map) and key in r]
                every = sorted({str(r[key]) for r in resources})
                for text in (r[key] for r in resources):
                    for other in every:
                        if other != text:
                            yield self._replaced(name, text, str(text), lambda o=other: o, f"{key} becomes {other}")

    def _changed_key(self) -> Iterator[Any]:
        for name, document in self._mappings():
            for items in (document.get("ids", {}).get("key"), document.get("origin", {}).get("values")):
                for text in items or ():
                    yield self._replaced(name, text, str(text), lambda t=text: self._typo(t), f"typo in key {text}")
                    for other in sorted({str(o) for o in items} - {str(text)}):
                        yield self._replaced(name, text, str(text), lambda o=other: o, f"key {text} becomes {other}")

    def _swapped_rows(self) -> Iterator[Any]:
        for name, document in self._maps():
            columns, rows = list(document["columns"]), document["rows"]
            for first, second in itertools.pairwise(rows):
                for column in columns:
                    if first[column] != second[column]:
                        yield (
                            name,
                            place(first).line,
                            f"{column} of two rows exchanged",
                            self._exchange(first, second, column),
                        )

    def _removed_row(self) -> Iterator[Any]:
        for name, document in self._maps():
            for row in document["rows"]:
                at = place(row).line
                yield name, at, "row removed", lambda t, n=at: _without_line(t, n)

    def _code_typo(self) -> Iterator[Any]:
        for name, document in self._maps():
            for row in document["rows"]:
                for column in document["columns"]:
                    text = row[column]
                    yield self._replaced(
                        name, text, str(text), lambda t=text: self._other(t), f"typo in {column} {text}"
                    )

    def _doubled_row(self) -> Iterator[Any]:
        for name, document in self._maps():
            for row in document["rows"]:
                last = row[list(document["columns"])[-1]]
                if place(last).line == place(row).line:
                    yield name, place(row).line, "row doubled", lambda t, r=row, v=last: self._doubled(t, r, v)

    # -- how texts change

    def _typo(self, text: str) -> str:
        """One of the last words with a letter dropped, doubled, or exchanged with its neighbour."""
        words = list(WORD.finditer(text)) or list(re.finditer(r"\w{2,}", text))
        match = self.random.choice(words[-2:])
        word = match[0]
        n = self.random.randrange(1, len(word))
        exchanged = word[: n - 1] + word[n] + word[n - 1] + word[n + 1 :]
        wrong = self.random.choice([word[:n] + word[n + 1 :], word[:n] + word[n : n + 1] + word[n:], exchanged])
        if wrong == word:
            wrong = word[:n] + word[n + 1 :]
        return text[: match.start()] + wrong + text[match.end() :]

    def _other(self, text: str) -> str:
        """Another number, the other truth value, or a typo."""
        if text in ("true", "false"):
            return "false" if text == "true" else "true"
        if re.match(r"\d+\Z", text):
            place_of = self.random.randrange(len(text))
            digit = str((int(text[place_of]) + self.random.randrange(1, 9)) % 10)
            return text[:place_of] + digit + text[place_of + 1 :]
        if re.match(r"\d+\D", text):
            head = re.match(r"\d+", text)
            return str(int(head[0]) + self.random.choice([-1, 1, 10])) + text[head.end() :]
        return self._typo(text) if re.search(r"\w{2}", text) else text + "x"

    def _loss(self) -> str:
        return self.random.choice(self.losses)

    def _without(self, entry: Map, key: str) -> Change:
        def change(text: str) -> str:
            name = next(k for k in entry if k == key)
            line = _line(text, name.at.line)
            if line.strip().startswith(f"{key}:"):
                return _without_line(text, name.at.line)
            start = _offset(text, name)
            end = _end(text, entry[key])
            after = re.match(r",\s*", text[end:])
            if after:
                return text[:start] + text[end + after.end() :]
            return text[:start].rstrip(", ") + text[end:]

        return change

    def _exchange(self, first: Map, second: Map, column: str) -> Change:
        def change(text: str) -> str:
            one, two = first[column], second[column]
            a, b, c, d = _offset(text, one), _end(text, one), _offset(text, two), _end(text, two)
            return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]

        return change

    def _doubled(self, text: str, row: Map, value: Str) -> str:
        line = _line(text, row.at.line)
        start = text.index(line)
        return text[:start] + line + "\n" + line.replace(str(value), self._other(value), 1) + text[start + len(line) :]


def _listed(text: str) -> list[str]:
    return [p.strip() for p in text.strip("[] ").split(",")] if text.startswith("[") else [text]


def _literals(text: str) -> list[str]:
    found = re.findall(r"[!=]= *(?:\"([^\"]+)\"|([^\s()\"]+))", text)
    inside = [v.strip() for group in re.findall(r" in \(([^)]*)\)", text) for v in group.split(",")]
    return [a or b for a, b in found] + inside


def _lists(value: Any) -> Iterator[tuple[str, Seq]]:
    if isinstance(value, Map):
        for key, child in value.items():
            if isinstance(child, Seq):
                yield str(key), child
            yield from _lists(child)


def _applications(value: Any) -> Iterator[Map]:
    if isinstance(value, Map):
        if "part" in value:
            yield value
        for child in value.values():
            yield from _applications(child)
    elif isinstance(value, Seq):
        for child in value:
            yield from _applications(child)


def _negated(text: str) -> str:
    inner = re.match(r"not \((.*)\)\Z", text)
    return inner[1] if inner and inner[1].count("(") == inner[1].count(")") else f"not ({text})"


def _one_way(rule: Rule, way: str) -> str:
    """The short form as it stands, for one direction; the caller's quotes stay."""
    return str(rule.entry).replace("<->", "->" if way == "forward" else "<-", 1)


def _line(text: str, number: int) -> str:
    return text.split("\n")[number - 1]


def _without_line(text: str, number: int) -> str:
    """Without the entry that starts on a line, and what is indented below it."""
    lines = text.split("\n")
    indent = len(lines[number - 1]) - len(lines[number - 1].lstrip())
    end = number
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return "\n".join(lines[: number - 1] + lines[end:])


def _without_entry(text: str, key: Str) -> str:
    return _without_line(text, key.at.line)


def _offset(text: str, value: Str) -> int:
    """Where a value starts in the text of its file."""
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: value.at.line - 1]) + value.at.column - 1


def _end(text: str, value: Any) -> int:
    start = _offset(text, value)
    if isinstance(value, Map | Seq):
        depth = 0
        for n, char in enumerate(text[start:]):
            depth += (char in "{[") - (char in "]}")
            if not depth:
                return start + n + 1
    quote = text[start] if text[start] in "'\"" else ""
    return start + len(value) + 2 * len(quote)


def _at(text: str, holder: Str, old: str, new: str) -> str:
    """The text of a file with a part of one of its values replaced."""
    start = _offset(text, holder)
    found = text.find(old, start)
    if found < 0 or found > start + len(holder) + 2:
        return text
    return text[:found] + new + text[found + len(old) :]
