"""When an error of ours and one of the official validator are the same, and which errors of theirs are only echoes.

An error is found if the other side has one at the same element, its parent or grandparent, or its child or grandchild;
one that says that something is there too often, or a code not at all, only by one that says the like (`SAYING`).
Everything that bends this is listed here, with its exact condition and the reason; nothing else is left out:

- *place*: the official validator names another element than the one at fault (`place_of`);
- *echo*: one fault is told again at everything that leads to it, where we tell it once (`is_echo`);
- *read past*: their parser leaves out what it reports (a value of the wrong JSON type, an unknown property), and rules
  are then judged without it. A rule that we find broken too, at that place, in what is left, is no error of its own
  (`without`, `broken_without`);
- *on purpose*: we judge otherwise, for a reason (differences.yaml).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
# Errors that no profile states: echoes of what a target breaks, links inside narratives, reachability; and a regular
# expression that had no half second of a busy machine.
NOT_FROM_PROFILES = re.compile(
    r"Reference_REF_CantMatchChoice|BUNDLE_BUNDLE_ENTRY_NOTFOUND_APPARENT|BUNDLE_BUNDLE_ENTRY_(REVERSE_)?ORPHAN|XHTML_"
    r"|TYPE_SPECIFIC_CHECKS_DT_PRIMITIVE_REGEX_EXCEPTION"
)
# Entries and other items are counted from 1 in the places of these messages (some lists from 0).
COUNTED_FROM_ONE = ("Bundle_BUNDLE_Entry_NotFound", "Bundle_BUNDLE_Entry_Orphan_DOCUMENT")
FIRST_ENTRY = ("Validation_BUNDLE_Message", "Bundle_BUNDLE_Entry_Document")
# The text of these names the fullUrl that is at fault, the place always entry 0.
ABOUT_URL = re.compile(r"BUNDLE_ENTRY_URL_.*")
QUOTED = re.compile(r"'([^']*)'")
SEVERAL = "Bundle_BUNDLE_MultipleMatches"
CONCEPT = re.compile(r"Terminology_TX_NoValid_\d+_CC|Terminology_TX_Code_ValueSet.*|Terminology_TX_NoValid_\d+")
AT_REFERENCES = re.compile(
    r"Reference_REF_(NotFound_Bundle|BadTargetType2?|CantResolve|Format[12])|Bundle_BUNDLE_(FullUrl_Missing|Entry_NotFound)"
)
IDENTITY = re.compile(r"(/entry/\d+)(?:/fullUrl|/resource|/resource/id|/resource/resourceType)?\Z")
# What stands at a resource and says nothing about its identity: rules of its profile, what it lacks.
NOT_IDENTITY = re.compile(r"http|Validation_|Extension_|PRO0(?:23|24|25|39|40|41|42|51)")
UNREAD = re.compile("PRO02[01] ")
# Codes of ours, and what of theirs says the same: anything else nearby is another fault.
SAYING = {
    "PRO024": re.compile(r"Validation_VAL_Profile_(Maximum|NotAllowed)|Terminology_TX_Coding_Count"),
    "PRO030": re.compile(r"Terminology_TX_.*|UNABLE_TO_INFER_CODESYSTEM|Validation_VAL_Profile_Minimum|PRO030.*"),
}
TOO_OFTEN = re.compile(r"PRO0(24|25|40|41).*")
ENTRY = re.compile(r"/entry/\d+")


@dataclass(frozen=True)
class Leaf:
    """One error: a JSON pointer, what is wrong (an invariant's key, a message id or a code of ours), and the text."""

    place: str
    what: str
    text: str = ""


def place_of(location: str, message: str | None) -> str:
    """Their place as a JSON pointer: `Bundle.entry[2]/*…*/.content.ofType(Attachment)` becomes `/entry/2…`."""
    text = re.sub(r"/\*.*?\*/", "", location or "")
    text = re.sub(r"\.(\w+)\.ofType\((\w)(\w*)\)", lambda m: f".{m[1]}{m[2].upper()}{m[3]}", text)
    text = re.sub(r"\.(\w+)\[x\]", r".\1", text)
    steps = [s for s in re.split(r"[.\[\]]+", text)[1:] if s]
    if message in FIRST_ENTRY:
        return ""  # it says again, at the first entry that could be read, what bdl-12 or bdl-11 says about the Bundle
    if message in COUNTED_FROM_ONE:
        steps = [str(max(int(s) - 1, 0)) if s.isdigit() else s for s in steps]
    return "".join(f"/{s}" for s in steps)


def near(one: str, other: str) -> bool:
    """Whether two places are the same element, or one is the other's parent or grandparent.

    What the parser of the official validator finds inside a choice is placed at `value`, not at `valueCoding`.
    """
    short, long = sorted((one.split("/"), other.split("/")), key=len)
    return len(long) - len(short) <= 2 and all(_same_step(a, b) for a, b in zip(short, long, strict=False))


def same(theirs: Leaf, mine: Leaf) -> bool:
    """Whether an error of theirs and one of ours are the same."""
    saying = SAYING.get(mine.what[:6])
    if saying and not saying.fullmatch(theirs.what):
        return False
    if theirs.what == "Validation_VAL_Profile_Maximum" and not TOO_OFTEN.match(mine.what):
        return False
    return near(theirs.place, mine.place)


def _same_step(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return short == long or (short in CHOICES and long.startswith(short) and long[len(short)].isupper())


CHOICES = frozenset({"content", "deceased", "effective", "event", "multipleBirth", "occurred", "onset", "value"})


@dataclass(frozen=True)
class Keys:
    """Keys of the rules that say which profile a resource shall conform to, and of those that follow references."""

    conforming: frozenset[str]
    resolving: frozenset[str]

    @classmethod
    def of(cls, rules: list[dict[str, Any]]) -> Keys:
        """Of the rules of a pack."""
        trees = {rule["key"]: json.dumps(rule["tree"]) for rule in rules}
        return cls(
            frozenset(k for k, t in trees.items() if '"conformsTo"' in t),
            frozenset(k for k, t in trees.items() if '"resolve"' in t),
        )


class Case:
    """One file with the errors of both sides."""

    def __init__(self, bundle: Any, theirs: list[Leaf], mine: list[Leaf], keys: Keys) -> None:
        self.keys = keys
        self._entries = bundle.get("entry") if isinstance(bundle, dict) else None
        self._bundle = bundle
        theirs = [self._placed(self._counted(t)) for t in theirs]
        self._told = theirs
        # Entries of which both sides say that fullUrl, id or type are wrong.
        self._broken = _identities(mine) & _identities(theirs)
        self.mine = [m for m in mine if not self._repeats(m, mine)]
        self.theirs = [t for t in theirs if not self._is_echo(t, theirs, mine)]

    def missed(self) -> list[Leaf]:
        """Errors of theirs that we do not have."""
        return [t for t in self.theirs if not any(same(t, m) for m in self.mine)]

    def alarms(self) -> list[Leaf]:
        """Errors of ours that they do not have, not even as an echo."""
        return [m for m in self.mine if not any(same(t, m) for t in self._told)]

    def _counted(self, leaf: Leaf) -> Leaf:
        """Entries that are no objects are left out by their parser, and not counted in what it did not find itself."""
        entry = re.match(r"/entry/(\d+)(/.+)", leaf.place)
        if not entry or not isinstance(self._entries, list):
            return leaf
        kept = [n for n, part in enumerate(self._entries) if isinstance(part, dict)]
        number = int(entry[1])
        return replace(leaf, place=f"/entry/{kept[number]}{entry[2]}") if number < len(kept) else leaf

    def _placed(self, leaf: Leaf) -> Leaf:
        """The entry whose fullUrl is meant, where the place names another."""
        url = QUOTED.search(leaf.text)
        if ABOUT_URL.fullmatch(leaf.what) and url and isinstance(self._entries, list):
            for number, entry in enumerate(self._entries):
                if isinstance(entry, dict) and json.dumps(entry.get("fullUrl")).strip('"') == url[1]:
                    return replace(leaf, place=f"/entry/{number}")
        return leaf

    def _is_echo(self, leaf: Leaf, theirs: list[Leaf], mine: list[Leaf]) -> bool:
        if leaf.what == SEVERAL:  # the same fullUrl twice, told at each reference to it
            return all(any(key_of(x) == "bdl-7" for x in side) for side in (theirs, mine))
        if CONCEPT.fullmatch(leaf.what):  # a concept without a good code, because its code is at fault
            below = re.compile(re.escape(leaf.place) + r"/coding/\d+(/code|/system)?\Z")
            return all(any(below.match(x.place) for x in side if x is not leaf) for side in (theirs, mine))
        return self._repeats(leaf, theirs) or self._leads_to_broken(leaf)

    def _repeats(self, leaf: Leaf, leaves: list[Leaf]) -> bool:
        """Echo: "shall conform to this profile" beside the very errors that keep it from conforming.

        Whether the parser's errors, or those of a target, count as not conforming differs between the validators.
        """
        if key_of(leaf) not in self.keys.conforming:
            return False
        return any(other.place and key_of(other) not in self.keys.conforming for other in leaves)

    def _leads_to_broken(self, leaf: Leaf) -> bool:
        """Echo: a reference in, or to, an entry whose fullUrl, id or type is at fault; or a rule that follows it.

        Only if both sides have an error at that entry itself.
        """
        if key_of(leaf) in self.keys.resolving:
            led = {e for place in _references(_at(self._bundle, leaf.place), leaf.place) for e in self._meant(place)}
            return not self._broken.isdisjoint({*led, *IDENTITY.findall(leaf.place)})
        if not AT_REFERENCES.fullmatch(leaf.what):
            return False
        holder = ENTRY.match(leaf.place)
        return not self._broken.isdisjoint({*([holder[0]] if holder else []), *self._meant(leaf.place)})

    def _meant(self, place: str) -> list[str]:
        """The entries that the reference at a place could mean: by fullUrl, by type and id, or by id alone."""
        value = _at(self._bundle, place)
        reference = value.get("reference") if isinstance(value, dict) else value
        if not isinstance(reference, str) or not isinstance(self._entries, list):
            return []
        tail = reference.rpartition("/")[2].rpartition(":")[2]
        found = []
        for number, entry in enumerate(self._entries):
            resource = entry.get("resource") if isinstance(entry, dict) else None
            names = [entry.get("fullUrl")] if isinstance(entry, dict) else []
            names += [resource.get("id")] if isinstance(resource, dict) else []
            if any(isinstance(n, str) and re.split("[/:]", n)[-1] == tail for n in names):
                found.append(f"/entry/{number}")
        return found


def without(bundle: Any, mine: list[Leaf]) -> Any:
    """The Bundle without what is no FHIR at all by our own errors, and without what is empty then."""
    for place in sorted((m.place for m in mine if UNREAD.match(m.what)), key=_order, reverse=True):
        _drop(bundle, place)
    return bundle


def _order(place: str) -> list[tuple[int, str]]:
    return [(int(step) if step.isdigit() else -1, step) for step in place.split("/")]


def _drop(document: Any, place: str) -> None:
    while place:
        above, _, last = place.rpartition("/")
        owner = _at(document, above)
        if isinstance(owner, list) and last.isdigit() and int(last) < len(owner):
            del owner[int(last)]
        elif isinstance(owner, dict):
            owner.pop(last, None)
        if owner:
            return
        place = above


def broken_without(leaf: Leaf, rest: list[Leaf]) -> bool:
    """Whether a broken rule of theirs is among our errors of what `without` leaves."""
    return "#" in leaf.what and any(key_of(m) == key_of(leaf) and near(m.place, leaf.place) for m in rest)


def key_of(leaf: Leaf) -> str:
    """The key of an invariant, without the profile."""
    return leaf.what.rpartition("#")[2].rpartition(" ")[2]


def _references(value: Any, place: str) -> list[str]:
    """The places of all References below a place."""
    if isinstance(value, list):
        return [p for number, item in enumerate(value) for p in _references(item, f"{place}/{number}")]
    if not isinstance(value, dict):
        return []
    below = [p for key, item in value.items() for p in _references(item, f"{place}/{key}")]
    return [place, *below] if "reference" in value else below


def _identities(leaves: list[Leaf]) -> set[str]:
    about = [leaf for leaf in leaves if key_of(leaf) == "bdl-5" or not NOT_IDENTITY.match(leaf.what)]
    return {match[1] for leaf in about if (match := IDENTITY.match(leaf.place))}


def _at(document: Any, place: str) -> Any:
    for step in place.split("/")[1:]:
        if isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict):
            names = [k for k in document if _same_step(step, k)]
            document = document[names[0]] if names else None
        else:
            return None
    return document


@dataclass(frozen=True)
class Difference:
    """A difference on purpose: a pattern of what and of the text, on which side, and why."""

    side: str
    what: re.Pattern[str]
    text: re.Pattern[str]
    because: str

    def covers(self, side: str, leaf: Leaf) -> bool:
        """Whether an error of one side is meant."""
        return side == self.side and bool(self.what.fullmatch(leaf.what) and self.text.search(leaf.text))


def differences() -> list[Difference]:
    """What differences.yaml lists."""
    listed = yaml.safe_load((HERE / "differences.yaml").read_text("utf-8"))
    return [Difference(d["side"], re.compile(d["what"]), re.compile(d.get("text", "")), d["because"]) for d in listed]
