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
Table = tuple[Mapping[str, str], Callable[[str], str] | None]
"""What is said of values, as markup, and of a value that is not among them (None: nothing)."""

escape: Callable[[str], str] = vars(markupsafe)["_escape_inner"]  # `escape` without the object around the text


class Filters(NamedTuple):
    """The filters of templates by name. Each gives markup, for an element and constants."""

    functions: Mapping[str, Callable[..., Any]]
    tables: Mapping[str, Callable[..., Table]]
    """Those that only look up: made once for their constants."""
    methods: type
    """Of the wording of a Bundle."""
    in_line: Mapping[str, tuple[str, str]]
    """How some of these methods are printed in straight functions, with {0} for the element: in the way that takes the
    usual for granted, and in one for lists."""
    by_url: Callable[[Any], Mapping[str, Any]]
    """Extensions by URL, of which `extension` takes one; method `value` of the wording says what it holds."""


class Telling:
    """A template as Python: a function for any resource, and straight ones for the sets of properties that are usual.

    `by_size` has what tells of a resource with so many properties. Straight functions are printed when a set has been
    seen several times, one for each number of properties. Like the other they raise `KeyError`, `TypeError` or
    `AttributeError` for what they do not know; then `render` must be asked. Raises `ValueError` for a construct that
    our templates do not use.
    """

    def __init__(self, template: Template, file: str, filters: Filters) -> None:
        self._template, self._file, self._filters = template, file, filters
        self._seen: dict[tuple[str, ...], int] = {}
        self.render = self._compiled(_Printer(filters), "")
        self.by_size: list[Render] = [self._learn] * MOST

    def _compiled(self, printer: _Printer, name: str) -> Render:
        said = printer.body(self._template.body, {"resource": "resource"}, {})
        source = "\n".join(
            ["def render(resource, wording):", *printer.head(), *printer.lines, f'    return f"{said}"', ""]
        )
        scope = {**self._filters.functions, **printer.scope, "escape": escape, "by_url": self._filters.by_url}
        generated.run(source, self._file + name, scope)
        render: Render = scope["render"]
        return render

    def _learn(self, resource: Mapping[str, Any], wording: Any) -> str:
        said = self.render(resource, wording)
        keys = tuple(resource)
        self._seen[keys] = self._seen.get(keys, 0) + 1
        if self._seen[keys] == _USUAL and "resourceType" in resource:
            printer = _Straight(self._filters, keys, self.render)
            self.by_size[len(keys)] = self._compiled(printer, f" with {len(keys)} properties")
        elif len(self._seen) > MOST:
            self._seen.clear()
        return said


MOST = 32
"""The number of properties from which a resource is told without learning."""
_USUAL = 3


EXTENSION = "extension"
"""The filter that templates ask several times of an element."""
Names = Mapping[str, str]
"""What a place in a template sees: the loop variables, each with its name in Python."""
Asked = Mapping[str, str]
"""What has been asked on the way to a place, as printed, each with the name of what it said."""


class _Printer:
    def __init__(self, filters: Filters) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {"NOTHING": {}}
        self._named: dict[tuple[str, ...], str] = {}
        self._indexed: dict[str, str] = {}
        self._held: dict[str, str] = {}
        self._filters = filters
        self._depth, self._parts = 1, 0
        self._objects = {"resource"}
        self._told: set[str] = set()

    def head(self) -> list[str]:
        """What the function begins with."""
        return []

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
            if self._fails(read, self.lines[-1]):
                continue
            self.lines.insert(start, "    " * (self._depth + 1) + f"if type({read}) is not dict: raise TypeError")
        self._depth = depth
        return f"{{{part}}}"

    def _part(self) -> str:
        self._parts += 1
        return f"part_{self._parts}"

    def _block(self, target: str, nodes: list[Any], names: Names, asked: Asked) -> None:
        self._depth += 1
        known = self._indexed.copy(), self._held.copy()
        said = self.body(nodes, names, asked)
        self._put(f'{target} f"{said}"')
        self._indexed, self._held = known
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
            held = self._hold(conditions, holder)
            return [f"{node.attr!r} in {held}"], f"{held}[{node.attr!r}]"
        if kind == "Filter" and not (node.kwargs or node.dyn_args or node.dyn_kwargs):
            conditions, value = self._value(node.node, names)
            return self._filtered(node, conditions, value)
        raise _refused(node)

    def _hold(self, conditions: list[str], value: str) -> str:
        """An element of an element, which is looked for once."""
        if value not in self._held:
            self._held[value] = f"held_{len(self._held)}_{self._parts}"
            condition = f" if {' and '.join(conditions)} else NOTHING" if conditions else ""
            self._put(f"{self._held[value]} = {value}{condition}")
            self._put(f"if type({self._held[value]}) is not dict: raise TypeError")
        return self._held[value]

    def _filtered(self, node: Any, conditions: list[str], value: str) -> tuple[list[str], str]:
        name: str = node.name
        constants = [argument.as_const() for argument in node.args]
        if name in self._filters.tables:
            table = self._named.setdefault((name, *constants), f"{name}_{len(self._named)}")
            self.scope[table], self.scope[f"other_{table}"] = self._filters.tables[name](*constants)
            return conditions, self._looked_up(table, value)
        if name == EXTENSION:
            return self._extension(conditions, value, *constants)
        arguments = ", ".join([value, *map(repr, constants)])
        if name in self._filters.functions:
            return conditions, f"{name}({arguments})"
        if not name.startswith("_") and callable(vars(self._filters.methods).get(name)):
            return conditions, self._called(name, arguments)
        raise ValueError(f"line {node.lineno}: there is no filter {name}")

    def _looked_up(self, table: str, value: str) -> str:
        if self.scope[f"other_{table}"] is None:
            return f"{table}.get({value}, '')"
        return f"({table}.get({value}) or other_{table}({value}))"

    def _called(self, name: str, arguments: str) -> str:
        """A method of the wording."""
        return f"wording.{name}({arguments})"

    def _fails(self, read: str, line: str) -> bool:
        """Whether a line fails for certain where this is no object."""
        return f"{read}.get(" in line

    def _extension(self, conditions: list[str], value: str, url: str) -> tuple[list[str], str]:
        """One of several extensions of an element, which are looked through once."""
        if value not in self._indexed:
            self._indexed[value] = f"extensions_{len(self._indexed)}_{self._parts}"
            condition = f" if {' and '.join(conditions)} else ()" if conditions else ""
            self._put(f"{self._indexed[value]} = by_url({value}){condition}")
        extensions = self._indexed[value]
        return [f"{url!r} in {extensions}"], f"wording.value({extensions}[{url!r}])"


class _Straight(_Printer):
    """Prints for a resource with certain properties and no others: what they usually hold is taken for granted.

    Where that is not there, a `KeyError` says so. What is shown only if it says something is made first; unless all of
    it says something, `otherwise` tells of the resource.
    """

    def __init__(self, filters: Filters, keys: tuple[str, ...], otherwise: Render) -> None:
        super().__init__(filters)
        self._keys, self._missed = keys, {"resourceType"}
        self._tests: list[str] = []
        self.scope["otherwise"] = otherwise

    def head(self) -> list[str]:
        """The test that the resource has all keys: those that are always taken would be missed."""
        rest = [key for key in self._keys if key not in self._missed]
        self.scope |= {f"key_{number}": key for number, key in enumerate(rest)}  # not printed: they are not our texts
        tests = [*(f"key_{number} in resource" for number in range(len(rest))), *self._tests]
        return [f"    if not ({' and '.join(tests)}): return otherwise(resource, wording)"] if tests else []

    def _there(self, node: Any) -> Any:
        """What is left of an expression for a resource with these properties; None if nothing."""
        if type(node).__name__ == "Or":
            left, right = self._there(node.left), self._there(node.right)
            return right if left is None else left if right is None else node
        asked = node
        while type(asked).__name__ == "Filter" or type(getattr(asked, "node", None)).__name__ in ("Getattr", "Filter"):
            asked = asked.node
        own = getattr(getattr(asked, "node", None), "name", "") == "resource"
        return None if own and asked.attr not in self._keys else node

    def _own(self, node: Any) -> str:
        """The property of the resource that is asked for, alone or through filters."""
        while type(node).__name__ == "Filter":
            node = node.node
        return node.attr if getattr(getattr(node, "node", None), "name", "") == "resource" else ""

    def _if(self, node: Any, names: Names, asked: Asked) -> str:
        test = self._there(node.test)
        if test is None:
            return ""
        own = self._own(test) if self._depth == 1 else ""
        conditions, value = self._value(test, names) if own else ([""], "")
        if conditions:
            return super()._if(node, names, asked)
        if test is not node.test:
            value = self._shown(test, names)
        self._missed.add(own)
        self._parts += 1
        kept = f"said_{self._parts}"
        self._tests.append(f"({kept} := {value})")
        return self.body(node.body, names, {**asked, self._asked(node.test, names): kept})

    def _loop(self, node: Any, names: Names, asked: Asked) -> str:
        if self._there(node.iter) is None:
            return ""
        if self._depth == 1:
            self._missed.add(self._own(node.iter))
        return super()._loop(node, names, asked)

    def _piece(self, node: Any, names: Names, asked: Asked) -> str:
        if self._depth == 1:
            self._missed.add(self._own(node))
        return super()._piece(node, names, asked)

    def _said(self, node: Any, names: Names) -> str:
        if type(node).__name__ == type(getattr(node, "node", None)).__name__ == "Getattr":
            return f"{self._said(node.node, names)}[{node.attr!r}]"
        return self._value(node, names)[1]

    def _shown(self, node: Any, names: Names) -> str:
        there = self._there(node)
        if there is not None and type(there).__name__ == "Or":
            left = self._markup(there.left, self._said(there.left, names))
            return f"({left} or {self._shown(there.right, names)})"
        return "''" if there is None else super()._shown(there, names)

    def _value(self, node: Any, names: Names) -> tuple[list[str], str]:
        there = self._there(node)
        if there is None:
            return [], "''"
        conditions, value = super()._value(there, names)
        return [c for c in conditions if not c.endswith(" in resource")], value

    def _called(self, name: str, value: str) -> str:
        usual, safe = self._filters.in_line.get(name, ("", ""))
        line = usual if self._depth == 1 else safe
        return line.format(value) if line else super()._called(name, value)

    def _fails(self, read: str, line: str) -> bool:
        return f"escape('' + {read}[" in line or f"names.get({read}[" in line


def _refused(node: Node) -> ValueError:
    return ValueError(f"line {node.lineno}: {type(node).__name__} is not among what narratives use")
