"""Kinds of faults: most are operators of Cosmic Ray; those that it lacks are defined here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, Protocol, cast

from cosmic_ray.ast import get_ast
from cosmic_ray.plugins import get_operator

Position = tuple[tuple[int, int], tuple[int, int]]
"""Line (from 1) and column (from 0) of the first character, and of the one after the last."""


class Operator(Protocol):
    """Interface of Cosmic Ray's operators, on nodes of parso's syntax tree."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        """Yield a position for each fault that can be planted in a node."""
        ...

    def mutate(self, node: Any, index: int) -> Any:
        """Plant one of them, and return the node."""
        ...


_COMPARISONS: Final = ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is")
_ARITHMETIC: Final = ("Add_Sub", "Sub_Add", "Mul_Add", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul",
                      "BitOr_BitAnd", "BitAnd_BitOr")  # fmt: skip
_CHOSEN: Final = (
    *(f"ReplaceComparisonOperator_{pair}" for pair in _COMPARISONS),
    *(f"ReplaceBinaryOperator_{pair}" for pair in _ARITHMETIC),
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)


class RemoveStatement:
    """Remove a call, a `raise`, or an assignment to an attribute or an item."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "simple_stmt" and _has_effect(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[0] = get_ast(f"{node.get_first_leaf().prefix}pass")
        return node


def _has_effect(statement: Any) -> bool:
    if statement.type == "expr_stmt":  # not of a plain name: without it the next line raises
        operator = getattr(statement.children[1], "value", "=")
        return statement.children[0].type in {"power", "atom_expr"} or operator != "="
    if statement.type in {"power", "atom_expr"}:
        return bool(statement.get_code().rstrip().endswith(")"))
    return statement.type in {"raise_stmt", "del_stmt"}


class NegateMembership:
    """Replace `in` by `not in`, and the reverse."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "comparison":
            for operator in _memberships(node):
                yield operator.start_pos, operator.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        operator = _memberships(node)[index]
        negated = " in" if operator.type == "comp_op" else " not in"
        node.children[node.children.index(operator)] = get_ast(negated)
        return node


def _memberships(node: Any) -> list[Any]:
    return [child for child in node.children[1::2] if child.get_code().split() in (["in"], ["not", "in"])]


class RemoveOperand:
    """Remove one operand of `and` or `or`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type in {"and_test", "or_test"}:
            for operand in node.children[::2]:
                yield operand.start_pos, operand.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        first = 2 * index - 1 if index else 0
        del node.children[first : first + 2]
        return node


class RemoveArgument:
    """Remove a keyword argument of a call."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type in {"arglist", "trailer"}:
            for argument in _keyword_arguments(node):
                yield argument.start_pos, argument.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = node.children.index(_keyword_arguments(node)[index])
        last = place + 1 == len(node.children)
        del node.children[place - 1 if last else place : place + (1 if node.type == "trailer" else 2)]
        return node


def _keyword_arguments(node: Any) -> list[Any]:
    return [child for child in node.children if child.type == "argument" and child.children[1] == "="]


@cache
def operators() -> dict[str, Operator]:
    """Return every operator by its name."""
    core = {name: cast("Operator", get_operator(f"core/{name}")()) for name in _CHOSEN}
    own: tuple[Operator, ...] = (NegateMembership(), RemoveStatement(), RemoveOperand(), RemoveArgument())
    return core | {type(operator).__name__: operator for operator in own}
