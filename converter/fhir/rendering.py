"""Narrative templates printed as Python: one function a template, for which jinja2 only parses.

jinja2's own functions are generators that hand out piece after piece, and markupsafe wraps every escaped text in an
object; both cost several times what the text costs. Our templates only loop over elements, ask whether there is
something to say and show it, so a few lines print them: each `if` and `for` makes a part, and the parts are put
together at once. An element that is not there says nothing, and no filter is asked about it. What an `if` has asked is
remembered for what it shows. Filters give markup; what is shown without a filter is text, and escaped. A template with
anything else does not load.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import markupsafe

from converter import generated

if TYPE_CHECKING:
    from jinja2.nodes import Node, Template

Render = Callable[[Mapping[str, Any], Any], str]
"""Tells of a resource, with the wording of its Bundle. Raises `TypeError`, `AttributeError` or `KeyError` for an
element of another shape than the template takes it to have."""
Table = Mapping[str, str]
"""What is said of each value, as markup."""

escape: Callable[[str], str] = vars(markupsafe)["_escape_inner"]  # `escape` without the object around the text


class Filters(NamedTuple):
    """The filters of templates by name. Each gives markup, for an element and constants."""

    functions: Mapping[str, Callable[..., Any]]
    tables: Mapping[str, Callable[..., Table]]
    """Those that only look up: made once for their constants."""
    methods: type
    """Of the wording of a Bundle."""
    by_url: Callable[[Any], Mapping[str, Any]]
    """Extensions by URL, of which `extension` takes one; method `value` of the wording says what it holds."""


def compiled(template: Template, file: str, filters: Filters) -> Render:
    """The function that renders a template. Raises `ValueError` for a construct that our templates do not use."""
    printer = _Printer(filters)
    said = printer.body(template.body, {"resource": "resource"}, {})
    source = "\n".join(["def render(resource, wording):", *printer.lines, f'    return f"{said}"', ""])
    scope: dict[str, Any] = {**filters.functions, **printer.tables, "escape": escape, "by_url": filters.by_url}
    generated.run(source, file, scope)
    render: Render = scope["render"]
    return render


EXTENSION = "extension"
"""The filter that templates ask several times of an element."""
Names = Mapping[str, str]
"""What a place in a template sees: the loop variables, each with its name in Python."""
Asked = Mapping[str, str]
"""What has been asked on the way to a place, as printed, each with the name of what it said."""


class _Printer:
    def __init__(self, filters: Filters) -> None:
        self.lines: list[str] = []
        self.tables: dict[str, Table] = {}
        self._named: dict[tuple[str, ...], str] = {}
        self._indexed: dict[str, str] = {}
        self._filters = filters
        self._depth, self._parts = 1, 0
        self._objects = {"resource"}
        self._told: set[str] = set()

    def _put(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def body(self, nodes: list[Any], names: Names, asked: Asked) -> str:
        """Print what the statements of a template, or of an `if` or `for` in it, need; give the f-string they make."""
        said = []
        for node in nodes:
            kind = type(node).__name__
            if kind == "Output":
                said += [self._piece(piece, names, asked) for piece in node.nodes]
            elif kind == "If" and not node.elif_ and not node.else_:
                said.append(self._if(node, names, asked))
            elif kind == "For" and not (node.else_ or node.test or node.recursive):
                said.append(self._loop(node, names, asked))
            else:
                raise _refused(node)
        return "".join(said)

    def _if(self, node: Any, names: Names, asked: Asked) -> str:
        part = self._part()
        conditions, value = self._value(node.test, names)
        kept = f"said_{self._parts}"
        remembered = {**asked, self._asked(node.test, names): kept}
        if type(node.test).__name__ == "Or":  # of texts and markup, until it is shown
            if node.test in [piece for output in node.body for piece in getattr(output, "nodes", ())]:
                value = self._shown(node.test, names)
            else:
                remembered = {**asked}
        self._put(f"if {' and '.join([*conditions, f'({kept} := {value})'])}:")
        self._block(f"{part} =", node.body, names, remembered)
        self._put(f"else: {part} = ''")
        return f"{{{part}}}"

    def _loop(self, node: Any, names: Names, asked: Asked) -> str:
        part = self._part()
        depth = self._depth
        conditions, items = self._value(node.iter, names)
        self._put(f"{part} = ''")
        if conditions:
            self._put(f"if {' and '.join(conditions)}:")
            self._depth += 1
        targets = [t.name for t in getattr(node.target, "items", [node.target])]
        own = {name: f"{name}_{self._parts}" for name in targets}
        if len(own) > 1:  # only filters give pairs
            self._told.update(own.values())
        self._put(f"for {', '.join(own.values())} in {items}:")
        start = len(self.lines)
        self._block(f"{part} +=", node.body, {**names, **own}, asked)
        for read in sorted(self._objects.intersection(own.values())):
            # Only an object can be asked what it holds: a text would answer too, but has no `get`.
            if f"{read}.get(" in self.lines[-1]:
                continue
            self.lines.insert(start, "    " * (self._depth + 1) + f"if type({read}) is not dict: raise TypeError")
        self._depth = depth
        return f"{{{part}}}"

    def _part(self) -> str:
        self._parts += 1
        return f"part_{self._parts}"

    def _block(self, target: str, nodes: list[Any], names: Names, asked: Asked) -> None:
        self._depth += 1
        known = self._indexed.copy()
        said = self.body(nodes, names, asked)
        self._put(f'{target} f"{said}"')
        self._indexed = known
        self._depth -= 1

    def _piece(self, node: Any, names: Names, asked: Asked) -> str:
        """A piece of an f-string: what stands in the template, or what is shown."""
        if type(node).__name__ == "TemplateData":
            return json.dumps(node.data, ensure_ascii=False)[1:-1].replace("{", "{{").replace("}", "}}")
        said = asked.get(self._asked(node, names))
        said = self._shown(node, names) if said is None else self._markup(node, said)
        if '"' in said or "\\" in said:
            raise _refused(node)
        return f"{{{said}}}"

    def _asked(self, node: Any, names: Names) -> str:
        """The expression of whether there is something to say."""
        conditions, value = self._value(node, names)
        return " and ".join([*conditions, value])

    def _said(self, node: Any, names: Names) -> str:
        """The expression of what an element says: its text, or the markup of a filter."""
        conditions, value = self._value(node, names)
        if not conditions:
            return value
        if type(node).__name__ == "Getattr" and type(node.node).__name__ == "Name":
            return f"{names[node.node.name]}.get({node.attr!r}, '')"
        return f"({value} if {' and '.join(conditions)} else '')"

    def _shown(self, node: Any, names: Names) -> str:
        """The expression of the markup of what an element says."""
        if type(node).__name__ != "Or":
            return self._markup(node, self._said(node, names))
        conditions, value = self._value(node.left, names)
        return f"({' and '.join([*conditions, self._markup(node.left, value)])} or {self._shown(node.right, names)})"

    def _markup(self, node: Any, said: str) -> str:
        """Text is escaped. An empty text is added because C code that escapes does not check types."""
        kind = type(node).__name__
        if kind == "Const":
            return repr(escape(node.value))
        return said if kind in ("Filter", "Or") or said in self._told else f"escape('' + {said})"

    def _value(self, node: Any, names: Names) -> tuple[list[str], str]:
        """The conditions under which an element is there, and the expression of what it says."""
        kind = type(node).__name__
        if kind == "Name" and node.name in names:
            return [], names[node.name]
        if kind == "Const":
            return [], repr(node.value)
        if kind in ("And", "Or"):
            last = self._said if kind == "Or" else self._asked
            return [], f"({self._asked(node.left, names)} {kind.lower()} {last(node.right, names)})"
        if kind == "Getattr":
            conditions, holder = self._value(node.node, names)
            if type(node.node).__name__ == "Name":
                self._objects.add(holder)
                return [f"{node.attr!r} in {holder}"], f"{holder}[{node.attr!r}]"
            return [*conditions, f"{node.attr!r} in {holder}.keys()"], f"{holder}[{node.attr!r}]"
        if kind == "Filter" and not (node.kwargs or node.dyn_args or node.dyn_kwargs):
            conditions, value = self._value(node.node, names)
            return self._filtered(node, conditions, value)
        raise _refused(node)

    def _filtered(self, node: Any, conditions: list[str], value: str) -> tuple[list[str], str]:
        name: str = node.name
        constants = [argument.as_const() for argument in node.args]
        if name in self._filters.tables:
            table = self._named.setdefault((name, *constants), f"{name}_{len(self._named)}")
            self.tables[table] = self._filters.tables[name](*constants)
            return conditions, f"{table}[{value}]"
        if name == EXTENSION:
            return self._extension(conditions, value, *constants)
        arguments = ", ".join([value, *map(repr, constants)])
        if name in self._filters.functions:
            return conditions, f"{name}({arguments})"
        if not name.startswith("_") and callable(getattr(self._filters.methods, name, None)):
            return conditions, f"wording.{name}({arguments})"
        raise ValueError(f"line {node.lineno}: there is no filter {name}")

    def _extension(self, conditions: list[str], value: str, url: str) -> tuple[list[str], str]:
        """One of several extensions of an element, which are looked through once."""
        if value not in self._indexed:
            self._indexed[value] = f"extensions_{len(self._indexed)}_{self._parts}"
            condition = f" if {' and '.join(conditions)} else ()" if conditions else ""
            self._put(f"{self._indexed[value]} = by_url({value}){condition}")
        extensions = self._indexed[value]
        return [f"{url!r} in {extensions}"], f"wording.value({extensions}[{url!r}])"


def _refused(node: Node) -> ValueError:
    return ValueError(f"line {node.lineno}: {type(node).__name__} is not among what narratives use")
