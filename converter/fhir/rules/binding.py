"""Required bindings: codes of value sets that were expanded when the pack was built (ElementDefinition.binding)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from converter import generated
from converter.fhir.codes import FORMS
from converter.fhir.elements import Site
from converter.fhir.rules.primitives import FAST_NAMES, LONGEST, judge, right_primitive
from converter.fhir.run import UNCHECKED_CODES, Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

CODE = declare(
    "PRO029",
    "code-not-in-value-set",
    Severity.ERROR,
    "the code of {element} is not in the required value set {value_set}",
    why="Receivers know only the codes of this value set.",
    help="Use one of its codes, with the code system that the value set names.",
    source="FHIR R4, ElementDefinition.binding, strength required",
    example='"gender": "m" instead of "gender": "male"',
)
NO_CODE = declare(
    "PRO030",
    "code-missing",
    Severity.ERROR,
    "{element} has no code, a code of the value set {value_set} is required",
    why="A text alone cannot be processed where the profile demands a code.",
    help="Add a coding of the value set.",
    source="FHIR R4, ElementDefinition.binding, strength required",
    example='"category": [{"text": "Discharge"}] instead of a coding with system and code',
)
NO_SYSTEM = declare(
    "PRO061",
    "code-without-system",
    Severity.ERROR,
    "the code of {element} has no system, a code of the value set {value_set} is required",
    why="The same code means different things in different code systems.",
    help="Add the code system that the value set names.",
    source="FHIR R4, Coding.system; ElementDefinition.binding, strength required",
    example='"coding": [{"code": "discharge"}] without "system"',
)
UNKNOWN_CODE = declare(
    "PRO057",
    "code-not-in-code-system",
    Severity.ERROR,
    "the code of {element} does not exist in its code system",
    why="Nobody can know what it means.",
    help="Look for a misspelling, or for a code of another version of the code system.",
    source="FHIR R4, Coding.code",
    example='"system": "http://hl7.org/fhir/administrative-gender", "code": "man"',
)
MALFORMED_CODE = declare(
    "PRO063",
    "code-malformed",
    Severity.WARNING,
    "the code of {element} does not have the form of the codes of its code system",
    why="No such code can exist in SKS, ICPC-2, SNOMED CT or LOINC: a digit is wrong, or the system is.",
    help="Look for a slip, or for the wrong code system; `validate --codes` judges by a table of real codes.",
    source="the code systems: forms and check digits",
    example='an SKS diagnosis without its letter: "code": "I10"',
)
DISPLAY = declare(
    "PRO031",
    "wrong-display",
    Severity.ERROR,
    "the display is not the one of the code in its code system",
    why="People read the display, programs the code: the two would say different things.",
    help="Write the display of the code system, or leave it out.",
    source="FHIR R4, Coding.display",
    example='"code": "male", "display": "Kvinde"',
)

ADVICE = declare(
    "PRO060",
    "code-not-of-advised-value-set",
    Severity.WARNING,
    "the code of {element} is not in the {strength} value set {value_set}",
    why="Where the value set has a code that fits, receivers expect it (extensible) or prefer it (preferred).",
    help="Use a code of the value set if one fits what is meant; else the finding can be accepted.",
    source="FHIR R4, ElementDefinition.binding, strength extensible and preferred",
    example="a code of one's own where the value set is preferred or extensible",
)

Systems = dict[str, dict[str, list[str]]]  # code system -> code -> displays

# Where HL7's code systems have their names, and those of the letters.
CODE_SYSTEMS = ("http://terminology.hl7.org/CodeSystem/", "https://medcom-fhir.org/fhir/CodeSystem/")
MOST_KNOWN = 1000  # codes of which one element remembers codings
MOST_ALIKE = 8  # codings with the same code
CODED = frozenset({"code", "Coding", "CodeableConcept", "Quantity", "string", "uri"})
_is_uri, _is_code = FAST_NAMES["uri_match"], FAST_NAMES["code_match"]
_BARE = 2  # properties of a Coding: its system and its code
_TEXTS = {"system", "code", "display"}
_MIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*(?:\s*;.*)?\Z", re.DOTALL)
# Too short for the number of a person, and no text.
_is_bare = re.compile(r"(?!.*\d{6})[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}\Z").match
_is_short = re.compile(r"(?!.*\d{6})[A-Za-z0-9_.-]{1,32}\Z").match
_LANGUAGE = re.compile(r"(?:[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*|[xi](?:-[A-Za-z0-9]{1,8})+)\Z")
_GRAMMARS = {"urn:ietf:bcp:13": _MIME, "urn:ietf:bcp:47": _LANGUAGE}


class Codes:
    """An expanded value set, ready for look-ups. `unknown`: systems whose codes may belong to it all the same."""

    __slots__ = ("flat", "grammars", "name", "sound", "systems", "unknown")

    def __init__(self, key: str, facts: dict[str, Any]) -> None:
        self.name = key.partition("|")[0].rpartition("/")[2]
        self.systems: dict[str, dict[str, list[str]]] = facts["codes"]
        self.flat = frozenset(code for codes in self.systems.values() for code in codes)
        self.grammars: list[str] = facts.get("grammars", [])
        self.unknown: list[str] = facts.get("unknown", [])
        self.sound = {*self.flat}  # and some of those that follow a grammar

    def holds(self, system: object, code: object) -> bool | None:
        """Whether a coding is in the value set; None if that cannot be said."""
        if not isinstance(system, str) or not isinstance(code, str):
            return False
        if code in self.systems.get(system, ()):
            return True
        if system in self.grammars and _GRAMMARS[system].match(code):
            return True
        return None if system in self.unknown or "" in self.unknown else False

    def holds_code(self, code: str) -> bool | None:
        """The same for a code whose system follows from the element."""
        if code in self.flat or any(_GRAMMARS[g].match(code) for g in self.grammars):
            return True
        return None if self.unknown else False


Advice = tuple[Codes, str, bool]  # value set, strength, whether the element is a primitive


def emit_code(source: Source, codes: Codes, pointer: str, site: Site, kind: str) -> None:
    """Code for a bound primitive `v` (code, string, uri) of type `kind`; judges its format too."""
    here = source.constant(site, "S")
    known = source.constant(codes.flat, "CODES")
    bound = source.constant((codes, kind), "BOUND")
    with source.block(f"if v.__class__ is not str or v not in {known}:"):
        source(f"check_code(v, {pointer}, x, {here}, {bound})")


def emit_coded(source: Source, codes: Codes, pointer: str, site: Site, kind: str) -> None:
    """Code for a bound Coding, Quantity or CodeableConcept `v`."""
    here = source.constant(site, "S")
    table = source.constant(codes, "VALUESET")
    check = "check_concept" if kind == "CodeableConcept" else "check_coding"
    source(f"{check}(v, {pointer}, x, {here}, {table})")


def emit_advice(source: Source, bound: Advice, pointer: str, site: Site) -> None:
    """Code for an extensible or preferred binding of `v`."""
    advice = source.constant(bound, "ADVICE")
    source(f"check_advice(v, {pointer}, x, {source.constant(site, 'S')}, {advice})")


def check_advice(value: Any, pointer: str, run: Run, site: Site, advice: Advice) -> None:
    """Warn of a code outside the value set; a text without code is fine. Preferred is less than a warning."""
    codes, strength, _ = advice
    if right_advice(value, advice):
        return
    severity = Severity.WARNING if strength == "extensible" else Severity.INFO
    run.add(ADVICE, pointer, site, severity=severity, element=site.leaf, strength=strength, value_set=codes.name)


def right_advice(value: Any, advice: Advice) -> bool:
    """Whether `check_advice` would find nothing."""
    codes, _, primitive = advice
    if primitive:
        return not isinstance(value, str) or codes.holds_code(value) is not False
    if not isinstance(value, dict):
        return True
    listed = value.get("coding") if "coding" in value else [value]
    coded = [c for c in listed if isinstance(c, dict) and "code" in c] if isinstance(listed, list) else []
    return not coded or any(codes.holds(c.get("system"), c["code"]) is not False for c in coded)


def emit_system(source: Source, site: Site) -> None:
    """Code at the head of a Coding's function: codes of the guide's own code systems must exist in them."""
    source(f"check_system(r, p, x, {source.constant(site, 'S')})")


def right_system(value: dict[str, Any], run: Run) -> bool:
    """Whether `check_system` would find nothing."""
    system, code = value.get("system"), value.get("code")
    if system.__class__ is not str or code.__class__ is not str:
        return isinstance(system, str) == (system.__class__ is str) and isinstance(code, str) == (code.__class__ is str)
    codes = run.pack.systems.get(system)
    if codes is None:
        return system not in FORMS or FORMS[system](code)
    known = codes.get(code)
    return known is not None and ("display" not in value or _is_display(value["display"], known))


class Known(dict[str, list[dict[str, Any]]]):
    """Codings, and concepts that are nothing but codings, that were found sound: by the code of the first."""

    def learn(self, value: dict[str, Any], systems: Systems) -> None:
        """Remember a Coding or a concept, if code systems made all of its texts.

        What only messages say is not kept: a display must be the code system's own or one that a mapping writes, and a
        code of a system that is not at hand must have the form of its codes, or be short.
        """
        if "text" in value or ("coding" in value and len(value) != 1):
            return
        codings = value.get("coding", (value,))
        if len(self) >= MOST_KNOWN or not all(_is_named(coding, systems) for coding in codings):
            return
        alike = self.setdefault(codings[0]["code"], [])
        if len(alike) < MOST_ALIKE:
            alike.append({"coding": [{**c} for c in codings]} if "coding" in value else {**value})


def _is_named(value: dict[str, Any], systems: Systems) -> bool:
    """Whether the texts of a sound Coding say nothing but what code systems and mappings say."""
    system, code, size = value.get("system"), value.get("code"), len(value)
    if system.__class__ is not str or code.__class__ is not str:
        return False
    if value.keys() <= _TEXTS and generated.texts.issuperset(value.values()):
        return True
    if system in systems:
        shown = systems[system].get(str(code))
        return shown is not None and (size == _BARE or (size == _BARE + 1 and value.get("display") in shown))
    if size != _BARE:
        return False
    if system in FORMS:
        return FORMS[system](str(code))
    return str(system).startswith(CODE_SYSTEMS) and _is_short(str(code)) is not None


def plain_concept(value: Any, known: Known, systems: Systems) -> bool:
    """Whether a concept is nothing but a text, a plain Coding or both, and so certainly sound as a CodeableConcept.

    It may raise any of `reading.FAULTS`: not certain. So may `plain_coding`. `known` are codings found plain before.
    """
    rest = len(value)
    if "text" in value:
        if not _is_plain(value["text"]):
            return False
        if rest == 1:
            return True
        rest -= 1
    listed = value.get("coding")
    return rest == 1 and listed.__class__ is list and len(listed) == 1 and plain_coding(listed[0], known, systems)


def plain_coding(value: Any, known: Known, systems: Systems) -> bool:
    """Whether a Coding is nothing but a system, a code and perhaps a display, and so certainly sound as a Coding."""
    if value in known.get(value.get("code"), ()):
        return True
    if not _is_plain_coding(value, systems):
        return False
    known.learn(value, systems)
    return True


def _is_plain_coding(value: Any, systems: Systems) -> bool:
    system, code = value.get("system"), value.get("code")
    if system.__class__ is not str or code.__class__ is not str:
        return False
    if "display" in value:
        if len(value) != _BARE + 1 or not _is_plain(value["display"]):
            return False
    elif len(value) != _BARE:
        return False
    if not (code.isalnum() or _is_code(code)):
        return False
    if system in FORMS and system not in systems:
        return FORMS[system](code)
    if system not in systems:
        return _is_uri(system) is not None
    shown = systems[system].get(code)
    return _is_uri(system) is not None and shown is not None and ("display" not in value or value["display"] in shown)


def _is_plain(text: Any) -> bool:
    return text.isprintable() and text != "" and text.strip() is text and len(text) <= LONGEST


def right_code(value: object, bound: tuple[Codes, str]) -> bool:
    """Whether `check_code` would find nothing and leave nothing unchecked."""
    codes, kind = bound
    if not isinstance(value, str) or not right_primitive(value, kind) or codes.holds_code(value) is not True:
        return False
    if len(codes.sound) < len(codes.flat) + MOST_KNOWN and _is_bare(value):
        codes.sound.add(value)
    return True


def right_coding(value: dict[str, Any], run: Run, codes: Codes) -> bool:
    """Whether `check_coding` would find nothing and leave nothing unchecked."""
    if value.get("code") is None:
        return "system" not in value and "value" in value
    return codes.holds(value.get("system"), value["code"]) is True and _right_display(value, codes)


def right_concept(value: dict[str, Any], run: Run, codes: Codes) -> bool:
    """The same for `check_concept`."""
    listed = value.get("coding")
    if listed.__class__ is not list:
        return False
    held = False
    for coding in listed:
        if coding.__class__ is dict and codes.holds(coding.get("system"), coding.get("code")):
            if not _right_display(coding, codes):
                return False
            held = True
    return held


def check_system(value: dict[str, Any], pointer: str, run: Run, site: Site) -> None:
    """Judge code and display of a Coding whose code system is in the pack, wherever the Coding stands."""
    system, code = value.get("system"), value.get("code")
    if not isinstance(system, str) or not isinstance(code, str) or not code:
        return
    if system not in run.pack.systems:
        if system in FORMS and not FORMS[system](code):
            run.add(MALFORMED_CODE, pointer + "/code", site, value=code, element=site.leaf)
        return
    known = run.pack.systems[system].get(code)
    if known is None:
        run.add(UNKNOWN_CODE, pointer + "/code", site, value=code, element=site.leaf)
    elif "display" in value:
        _check_display(value["display"], known, pointer, run, site)


def check_code(value: object, pointer: str, run: Run, site: Site, bound: tuple[Codes, str]) -> None:
    """Judge a primitive of a type against a value set. A value that is no valid primitive is reported as that only."""
    codes, kind = bound
    if not judge(value, pointer, run, site, kind) or not isinstance(value, str):
        return
    verdict = codes.holds_code(value)
    if verdict is None:
        run.skip(UNCHECKED_CODES, site.profile, codes.name)
    elif not verdict:
        run.add(CODE, pointer, site, value=value, element=site.leaf, value_set=codes.name)


def check_coding(value: Any, pointer: str, run: Run, site: Site, codes: Codes) -> None:
    """Judge a Coding (or Quantity) against a value set."""
    if not isinstance(value, dict):
        return
    code = value.get("code")
    if code is None:
        if "system" in value or "value" not in value:
            run.add(NO_CODE, pointer, site, element=site.leaf, value_set=codes.name)
        return
    if _faulty(value):
        return  # reported as that
    verdict = codes.holds(value.get("system"), code)
    if verdict is None:
        run.skip(UNCHECKED_CODES, site.profile, codes.name)
    elif verdict:
        _check_bound_display(value, pointer, run, site, codes)
    elif "system" not in value:
        run.add(NO_SYSTEM, pointer, site, element=site.leaf, value_set=codes.name)
    elif not _unknown(value, run):
        run.add(CODE, pointer, site, value=code, element=site.leaf, value_set=codes.name)


def check_concept(value: Any, pointer: str, run: Run, site: Site, codes: Codes) -> None:
    """Judge a CodeableConcept: at least one of its codings must be in the value set."""
    if not isinstance(value, dict):
        return
    listed = value.get("coding")
    codings = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    if not codings:
        run.add(NO_CODE, pointer, site, element=site.leaf, value_set=codes.name)
        return
    verdicts = [codes.holds(c.get("system"), c.get("code")) for c in codings]
    if True in verdicts:
        for index, coding in enumerate(codings):
            if verdicts[index]:
                _check_bound_display(coding, f"{pointer}/coding/{index}", run, site, codes)
    elif None in verdicts:
        run.skip(UNCHECKED_CODES, site.profile, codes.name)
    elif all(c.get("code") is None for c in codings):
        run.add(NO_CODE, pointer, site, element=site.leaf, value_set=codes.name)
    elif any(_faulty(c) for c in codings):
        return  # reported as that
    elif not any("system" in c for c in codings):
        run.add(NO_SYSTEM, pointer, site, element=site.leaf, value_set=codes.name)
    elif not any(_unknown(c, run) for c in codings):
        run.add(CODE, pointer, site, value=codings[0].get("code"), element=site.leaf, value_set=codes.name)


def _faulty(coding: dict[str, Any]) -> bool:
    """Whether code or system are no texts at all."""
    given = [coding[name] for name in ("code", "system") if name in coding]
    return not all(isinstance(text, str) and text for text in given)


def _unknown(coding: dict[str, Any], run: Run) -> bool:
    """Whether the code does not exist at all, which has been reported where it stands."""
    system, code = coding.get("system"), coding.get("code")
    known = run.pack.systems.get(system) if isinstance(system, str) else None
    return known is not None and isinstance(code, str) and code not in known


def _check_bound_display(coding: dict[str, Any], pointer: str, run: Run, site: Site, codes: Codes) -> None:
    if "display" in coding:
        _check_display(coding["display"], _displays(coding, codes), pointer, run, site)


def _right_display(coding: dict[str, Any], codes: Codes) -> bool:
    return "display" not in coding or _is_display(coding["display"], _displays(coding, codes))


def _displays(coding: dict[str, Any], codes: Codes) -> list[str]:
    return codes.systems.get(str(coding.get("system")), {}).get(str(coding.get("code")), [])


def _check_display(display: Any, known: list[str], pointer: str, run: Run, site: Site) -> None:
    if not _is_display(display, known):
        run.add(DISPLAY, pointer + "/display", Site(site.profile, site.element + ".display"), value=display)


def _is_display(display: Any, known: list[str]) -> bool:
    """Compare a display with those of the code system: case and white space do not count."""
    if not known or display in known or not isinstance(display, str):
        return True
    return _folded(display) in {_folded(k) for k in known}


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
