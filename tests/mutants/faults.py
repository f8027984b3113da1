"""The faults that can be planted in a module."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import attrs
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from .operators import Operator, Position, operators

_WITHOUT_EFFECT: Final = ("@override", "@overload", "@final")
"""Decorators that only a type checker reads."""


@attrs.frozen
class Fault:
    """One fault in one module.

    Attributes:
        module: the module's path from the package's folder.
        operator: the kind of fault.
        occurrence: its number among the faults of its kind in the module, from 0.
        line: the first line that it changes, from 1.
    """

    module: str
    operator: str
    occurrence: int
    line: int

    def plant(self, code: str) -> str | None:
        """Return the code with the fault; `None` if the program would be the same, or a syntax error."""
        changed = cast("str | None", mutate_code(code, operators()[self.operator], self.occurrence))
        try:
            same = changed is None or ast.dump(ast.parse(changed)) == ast.dump(ast.parse(code))
        except SyntaxError:
            return None
        return None if same else changed


def faults_of(module: str, code: str) -> list[Fault]:
    """Return every fault of a module, except in annotations, which are not evaluated."""
    skipped = list(_annotations(code))
    found: list[Fault] = []
    for name, operator in operators().items():
        for occurrence, (begin, end) in enumerate(_positions(operator, code)):
            inside = any(first <= begin and end <= last for first, last in skipped)
            if not inside and not _is_redundant(name, _text(code, begin, end)):
                found.append(Fault(module, name, occurrence, begin[0]))
    return sorted(found, key=lambda fault: (fault.line, fault.operator, fault.occurrence))


def _text(code: str, begin: tuple[int, int], end: tuple[int, int]) -> str:
    lines = code.splitlines()[begin[0] - 1 : end[0]]
    lines[-1] = lines[-1][: end[1]] if end[1] else lines[-1]
    lines[0] = lines[0][begin[1] :]
    return "\n".join(lines)


def _is_redundant(operator: str, text: str) -> bool:
    """Return True for a fault without effect, or equal to that of another operator at the same place."""
    if operator == "RemoveDecorator":
        return text.strip().startswith(_WITHOUT_EFFECT)
    if operator != "AddNot":
        return False
    match ast.parse(f"({text})", mode="eval").body:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(ops=[ast.Is() | ast.IsNot() | ast.In() | ast.NotIn() | ast.Eq() | ast.NotEq()]):
            return True
        case _:
            return False


def _positions(operator: Operator, code: str) -> Iterator[Position]:
    for node in ast_nodes(get_ast(code)):
        yield from operator.mutation_positions(node)


def _annotations(code: str) -> Iterator[Position]:
    found: ast.expr | ast.stmt | None
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.AnnAssign(annotation=found) | ast.arg(annotation=found) | ast.FunctionDef(returns=found):
                pass
            case ast.AsyncFunctionDef(returns=found):
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                found = node
            case _:
                continue
        if found is not None:
            yield (found.lineno, found.col_offset), (found.end_lineno or 0, found.end_col_offset or 0)


def change(code: str, changed: str) -> tuple[str, str]:
    """Return the lines that a fault removes and those that it adds, with single spaces."""
    lines = list(difflib.unified_diff(code.splitlines(), changed.splitlines(), n=0))[2:]
    removed = (" ".join(line[1:].split()) for line in lines if line.startswith("-"))
    added = (" ".join(line[1:].split()) for line in lines if line.startswith("+"))
    return "\n".join(filter(None, removed)), "\n".join(filter(None, added))


def read(package: Path, module: str) -> str:
    return (package / module).read_text(encoding="utf-8")
