"""Narrative templates printed as Python: one function a template, for which jinja2 only parses.

jinja2's own functions are generators that hand out piece after piece, and markupsafe wraps every escaped text in an
object; both cost several times what the text costs. Our templates only loop, ask whether a value is there and show it
escaped, so a few lines print them. A template with anything else does not load.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.nodes import Node, Template

Render = Callable[[Mapping[str, Any]], str]
"""Renders a template. Raises `KeyError` for a variable that is not given, `TypeError` for a value that is no text."""

Names = Mapping[str, str]
"""The loop variables that a place in a template sees, each with its name in Python."""


def compiled(template: Template, file: str) -> Render:
    """The function that renders a template. Raises `ValueError` for a construct that our templates do not use."""
    import markupsafe

    printer = _Printer()
    printer.body(template.body, {})
    given = [f"    {variable} = values[{name!r}]" for name, variable in printer.outer.items()]
    source = "\n".join(["def render(values):", *given, "    out = ''", *printer.lines, "    return out", ""])
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"escape": vars(markupsafe)["_escape_inner"]}  # `escape` without the object around the text
    exec(compile(source, file, "exec"), scope)  # noqa: S102 - printed by us from our own templates
    render: Render = scope["render"]
    return render


class _Printer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.outer: dict[str, str] = {}
        self._depth = 1

    def _put(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def body(self, nodes: list[Any], names: Names) -> None:
        """Print the statements of a template, or of an `if` or `for` in it."""
        for node in nodes:
            kind = type(node).__name__
            if kind == "Output":
                self._put(f"out += {' '.join([self._piece(n, names) for n in node.nodes])}")
            elif kind == "If" and not node.elif_ and not node.else_:
                self._put(f"if {self._test(node.test, names)}:")
                self._block(node.body, names)
            elif kind == "For" and not (node.else_ or node.test or node.recursive):
                targets = [t.name for t in getattr(node.target, "items", [node.target])]
                own = {name: f"{name}_{self._depth}" for name in targets}
                self._put(f"for {', '.join(own.values())} in {self._variable(node.iter, names)}:")
                self._block(node.body, {**names, **own})
            else:
                raise _refused(node)

    def _block(self, nodes: list[Any], names: Names) -> None:
        self._depth += 1
        self.body(nodes, names)
        self._depth -= 1

    def _piece(self, node: Any, names: Names) -> str:
        """A literal or formatted string. An empty text is added because C code that escapes does not check types."""
        if type(node).__name__ == "TemplateData":
            return repr(node.data)
        return f"""f'{{escape("" + {self._variable(node, names)})}}'"""

    def _test(self, node: Any, names: Names) -> str:
        kind = type(node).__name__
        if kind in ("And", "Or"):
            return f"({self._test(node.left, names)} {kind.lower()} {self._test(node.right, names)})"
        return self._variable(node, names)

    def _variable(self, node: Any, names: Names) -> str:
        if type(node).__name__ != "Name":
            raise _refused(node)
        name: str = node.name
        return names.get(name) or self.outer.setdefault(name, f"v_{name}")


def _refused(node: Node) -> ValueError:
    return ValueError(f"line {node.lineno}: {type(node).__name__} is not among what narratives use")
