"""FHIRPath expressions as plain trees: parsed when a pack is built, stored as JSON, never parsed at run time.

A node is a list whose first item says what it is:

    ["member", base, name]            base.name        (base null: the focus itself)
    ["call", base, name, arg, …]      base.name(arg, …)
    ["index", base, item]             base[item]
    ["op", sign, left, right]         also "is" and "as", whose right side is ["type", name]
    ["sign", "-", x]                  polarity
    ["this"] ["$index"] ["$total"] ["empty"]
    ["text", s] ["number", s] ["truth", b] ["time", s] ["quantity", s]
    ["constant", name]                %name

Source: the FHIRPath grammar (https://hl7.org/fhirpath/N1/grammar.html) as fhirpathpy implements it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from converter.errors import ProfileError

Tree = list[Any]
_INFIX = {
    "MultiplicativeExpression",
    "AdditiveExpression",
    "UnionExpression",
    "InequalityExpression",
    "EqualityExpression",
    "MembershipExpression",
    "AndExpression",
    "OrExpression",
    "ImpliesExpression",
}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


def parse(expression: str) -> Tree:
    """The tree of a FHIRPath expression. Raises ProfileError if it does not parse. Needs fhirpathpy."""
    try:
        tree = _strictly(expression)
    except ImportError as error:
        raise ProfileError("building packs needs the package fhirpathpy; install it beside medcom-fhir") from error
    except Exception as error:
        # The generated parser raises bare Exception.
        raise ProfileError(f"FHIRPath does not parse: {expression}") from error
    return _node(tree["children"][0]["children"][0])


def _strictly(expression: str) -> dict[str, Any]:
    """fhirpathpy's own tree, but a syntax error is an error: its `parse` repairs the input and reads on."""
    from antlr4 import CommonTokenStream, InputStream, ParseTreeWalker
    from antlr4.error.ErrorListener import ErrorListener
    from fhirpathpy.parser.ASTPathListener import ASTPathListener
    from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
    from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

    class Refuse(ErrorListener):  # type: ignore[misc]
        def syntaxError(self, *facts: Any) -> None:  # noqa: N802 - the name that ANTLR calls
            raise ProfileError(str(facts[-2]))

    lexer = FHIRPathLexer(InputStream(expression))
    parser = FHIRPathParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(Refuse())
    listener = ASTPathListener()  # type: ignore[no-untyped-call]
    ParseTreeWalker().walk(listener, parser.entireExpression())  # type: ignore[no-untyped-call]
    tree: dict[str, Any] = listener.parentStack[0]
    return tree


def digest(tree: Tree) -> str:
    """Eight hex digits that identify an expression: the same key can stand for different rules in two versions."""
    return hashlib.sha256(orjson.dumps(tree)).hexdigest()[:8]


def _node(node: dict[str, Any]) -> Tree:
    kind = node["type"]
    children = node.get("children", [])
    if kind in _INFIX:
        return ["op", node["terminalNodeText"][0], _node(children[0]), _node(children[1])]
    if kind == "InvocationExpression":
        return _invocation(children[1], _node(children[0]))
    if kind == "IndexerExpression":
        return ["index", _node(children[0]), _node(children[1])]
    if kind == "TypeExpression":
        return ["op", node["terminalNodeText"][0], _node(children[0]), ["type", _text(children[1])]]
    if kind == "PolarityExpression":
        return ["sign", node["terminalNodeText"][0], _node(children[0])]
    if kind in ("TermExpression", "ParenthesizedTerm"):
        return _node(children[0])
    if kind == "InvocationTerm":
        return _invocation(children[0], None)
    if kind == "ExternalConstantTerm":
        return ["constant", _text(node).lstrip("%")]
    if kind == "LiteralTerm":
        return _literal(node)
    raise ProfileError(f"unknown FHIRPath construct {kind}")


def _invocation(node: dict[str, Any], base: Tree | None) -> Tree:
    kind = node["type"]
    if kind == "MemberInvocation":
        return ["member", base, _text(node).strip("`")]
    if kind == "ThisInvocation":
        return ["this"]
    if kind in ("IndexInvocation", "TotalInvocation"):
        return ["$index"] if kind.startswith("I") else ["$total"]
    if kind == "FunctionInvocation":
        parts = node["children"][0]["children"]
        arguments = parts[1].get("children", []) if len(parts) > 1 else []
        return ["call", base, _text(parts[0]).strip("`"), *[_node(a) for a in arguments]]
    raise ProfileError(f"unknown FHIRPath construct {kind}")


def _literal(node: dict[str, Any]) -> Tree:
    children = node.get("children", [])
    if not children:
        return ["empty"]
    kind, text = children[0]["type"], _text(children[0])
    if kind == "StringLiteral":
        return ["text", _unescape(text[1:-1])]
    if kind == "NumberLiteral":
        return ["number", text]
    if kind == "BooleanLiteral":
        return ["truth", text == "true"]
    if kind == "NullLiteral":
        return ["empty"]
    if kind in ("DateLiteral", "DateTimeLiteral", "TimeLiteral"):
        return ["time", text]
    if kind == "QuantityLiteral":
        return ["quantity", text]
    raise ProfileError(f"unknown FHIRPath literal {kind}")


def _unescape(text: str) -> str:
    parts = []
    position = 0
    while position < len(text):
        sign = text[position]
        if sign == "\\" and position + 1 < len(text):
            follows = text[position + 1]
            if follows == "u" and position + 5 < len(text):
                parts.append(chr(int(text[position + 2 : position + 6], 16)))
                position += 6
                continue
            parts.append(_ESCAPES.get(follows, follows))
            position += 2
            continue
        parts.append(sign)
        position += 1
    return "".join(parts)


def _text(node: dict[str, Any]) -> str:
    if "text" in node:
        return str(node["text"])
    terminal = node.get("terminalNodeText") or []
    return "".join(terminal) + "".join(_text(c) for c in node.get("children", []))
