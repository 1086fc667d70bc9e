"""Narrative templates printed as Python: one function a template, for which jinja2 only parses.

jinja2's own functions are generators that hand out piece after piece, and markupsafe wraps every escaped text in an
object; both cost several times what the text costs. Our templates only loop over elements, ask whether there is
something to say and show it, so a few lines print them: `{{ resource.topic|concept }}` becomes
`concept(resource['topic'])`. An element that is not there says nothing, and no filter is asked about it. What an `if`
has asked is remembered for what it shows. A template with anything else does not load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import markupsafe

from converter import generated

if TYPE_CHECKING:
    from jinja2.nodes import Node, Template

Render = Callable[[Mapping[str, Any], Any], str]
"""Tells of a resource, with the wording of its Bundle. Raises `TypeError`, `AttributeError` or `KeyError` for an
element of another shape than the template takes it to have."""

Names = Mapping[str, str]
"""What a place in a template sees: the loop variables, each with its name in Python, and what has been asked."""

escape: Callable[[str], str] = vars(markupsafe)["_escape_inner"]  # `escape` without the object around the text
LINES = "lines"
"""The filter that gives markup: text with its line breaks."""


def lines(text: str) -> str:
    """Text as XHTML that keeps its line breaks."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return escape("" + text).replace("\n", "<br/>")


def compiled(template: Template, file: str, functions: Mapping[str, Callable[..., Any]], methods: type) -> Render:
    """The function that renders a template, with these filters: functions, and methods of the wording.

    Raises `ValueError` for a construct that our templates do not use.
    """
    printer = _Printer(frozenset({*functions, LINES}), methods)
    printer.body(template.body, {"resource": "resource"})
    source = "\n".join(
        ["def render(resource, wording):", "    out = []", *printer.lines, "    return ''.join(out)", ""]
    )
    scope: dict[str, Any] = {**functions, LINES: lines, "escape": escape}
    generated.run(source, file, scope)
    render: Render = scope["render"]
    return render


class _Printer:
    def __init__(self, functions: frozenset[str], methods: type) -> None:
        self.lines: list[str] = []
        self._functions, self._methods = functions, methods
        self._depth = 1
        self._objects = {"resource"}

    def _put(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def body(self, nodes: list[Any], names: Names) -> None:
        """Print the statements of a template, or of an `if` or `for` in it."""
        for node in nodes:
            kind = type(node).__name__
            if kind == "Output":
                for piece in node.nodes:
                    self._put(f"out.append({self._piece(piece, names)})")
            elif kind == "If" and not node.elif_ and not node.else_:
                conditions, value = self._value(node.test, names)
                kept = f"said_{self._depth}"
                self._put(f"if {' and '.join([*conditions, f'({kept} := {value})'])}:")
                self._block(node.body, {**names, " and ".join([*conditions, value]): kept})
            elif kind == "For" and not (node.else_ or node.test or node.recursive):
                self._loop(node, names)
            else:
                raise _refused(node)

    def _loop(self, node: Any, names: Names) -> None:
        depth = self._depth
        conditions, items = self._value(node.iter, names)
        if conditions:
            self._put(f"if {' and '.join(conditions)}:")
            self._depth += 1
        targets = [t.name for t in getattr(node.target, "items", [node.target])]
        own = {name: f"{name}_{depth}" for name in targets}
        self._put(f"for {', '.join(own.values())} in {items}:")
        start = len(self.lines)
        self._objects -= set(own.values())
        self._block(node.body, {**names, **own})
        for read in sorted(self._objects.intersection(own.values())):
            # Only an object can be asked what it holds: a text would answer too.
            self.lines.insert(start, "    " * (self._depth + 1) + f"if type({read}) is not dict: raise TypeError")
        self._depth = depth

    def _block(self, nodes: list[Any], names: Names) -> None:
        self._depth += 1
        self.body(nodes, names)
        self._depth -= 1

    def _piece(self, node: Any, names: Names) -> str:
        """Markup, or a text made markup. An empty text is added because C code that escapes does not check types."""
        if type(node).__name__ == "TemplateData":
            return repr(node.data)
        said = names.get(self._asked(node, names)) or self._said(node, names)
        return said if type(node).__name__ == "Filter" and node.name == LINES else f"escape('' + {said})"

    def _asked(self, node: Any, names: Names) -> str:
        """The expression of whether there is something to say."""
        conditions, value = self._value(node, names)
        return " and ".join([*conditions, value])

    def _said(self, node: Any, names: Names) -> str:
        """The expression of a text."""
        conditions, value = self._value(node, names)
        return f"({value} if {' and '.join(conditions)} else '')" if conditions else value

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
            arguments = ", ".join([value, *(self._value(a, {})[1] for a in node.args)])
            return conditions, f"{self._function(node)}({arguments})"
        raise _refused(node)

    def _function(self, node: Any) -> str:
        name: str = node.name
        if name in self._functions:
            return name
        if not name.startswith("_") and callable(getattr(self._methods, name, None)):
            return f"wording.{name}"
        raise ValueError(f"line {node.lineno}: there is no filter {name}")


def _refused(node: Node) -> ValueError:
    return ValueError(f"line {node.lineno}: {type(node).__name__} is not among what narratives use")
