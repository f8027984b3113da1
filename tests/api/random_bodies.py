"""Valid pages with random changes: a tree of JSON in which anything can be replaced, even by invalid JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

JUNK: Final = (
    *(b"null", b"true", b"false", b'""', b'"x"', b'"12"', b"[]", b"{}", b"[[]]", b'{"a":{"b":[1,2.5,null]}}'),
    *(b"0", b"-0", b"-0.0", b"1", b"-1", b"12.0", b"12.7", b"1e2", b"1E-400", b"5e-324", b"9007199254740991.0"),
    *(b"9007199254740992.0", b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"1e18", b"1e400"),
    *(b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551617", b"-1e999", b"9" * 400, b"9" * 5000),
    *(b"0" * 400 + b".5", b"1" * 400 + b".5", b"012", b"+1", b".5", b"1.", b"-", b"0x1", b"NaN", b"-Infinity", b"tru"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud834\\udd1e"', b'"\\ud83"', b'"\\u0000"', b'"\\q"', b'"\x00"', b'"\n"'),
    *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc3\xbc \xe2\x98\x83 \xf0\x9d\x84\x9e"'),
    *(
        b'{"\xff":1}',
        b'{"\\ud800":1}',
        b'{"a":1,"a":"b"}',
        b'{"id":1e999,"id":1}',
        b"[1,]",
        b'{"a":1,}',
        b"'x'",
        b"",
        b",",
        b"]",
    ),
    *(b"[" * 99 + b"]" * 99, b"[" * 101 + b"]" * 101, b'{"x":' * 60 + b"1" + b"}" * 60, b"[" * 3000 + b"]" * 3000),
    *(b"[" * 50_000, b'"' + b"x" * 5000 + b'"', b'{"id":2}', b'{"id":3,"mood":"Calm"}', b'[{"id":4}]'),
)
"""Replacements for a value: JSON of another type, and invalid JSON."""

NAMES: Final = (b"code", b"data", b"rid", b"msg", b"music", b"pagination", b"id", b"name", b"page", b"total_items", b"")
ENDS: Final = (b"", b" ", b"\xef\xbb\xbf", b"\x00", b"}", b"\x0b", b"//", b"\xff\xfe")


@attrs.define
class Node:
    """An object, a list, or literal text.

    Attributes:
        text: the literal text; `None` for an object or a list.
        inner: pairs of name and node; the names in a list are ignored.
        named: True for an object.
    """

    text: bytes | None = None
    inner: list[tuple[bytes, Node]] = attrs.field(factory=list)
    named: bool = False

    def written(self) -> bytes:
        if self.text is not None:
            return self.text
        if self.named:
            return b"{" + b",".join(b'"%s":%s' % (name, node.written()) for name, node in self.inner) + b"}"
        return b"[" + b",".join(node.written() for _, node in self.inner) + b"]"

    def slots(self) -> list[tuple[Node, int]]:
        """Return every place in the tree: a node, and an index in it."""
        found: list[tuple[Node, int]] = [(self, index) for index in range(len(self.inner))]
        for _, node in self.inner:
            found += node.slots()
        return found


def valid_page(rows: int, *, unknown: bool) -> Node:
    """Return a valid page of `rows` tracks, with or without undocumented fields."""
    fields = {"id": b"%d", "name": b'"Song %d"', "music_url": b'"https://x/%d"', "duration": b"%d"}
    fields |= {"genre": b'"Corporate %d"', "tags": b'[%d,{"a":null}]'} if unknown else {}
    tracks = [_object(**{name: Node(text % number) for name, text in fields.items()}) for number in range(1, rows + 1)]
    numbers = {"page": 1, "page_size": 10, "total_items": 25, "total_pages": 3}
    pagination = _object(**{name: Node(b"%d" % number) for name, number in numbers.items()})
    data = _object(music=Node(inner=[(b"", track) for track in tracks]), pagination=pagination)
    return _object(code=Node(b"0"), msg=Node(b'"Success"'), data=data, rid=Node(b'"%s"' % (b"0123456789abcdef" * 2)))


def _object(**fields: Any) -> Node:
    return Node(inner=[(name.encode(), node) for name, node in fields.items()], named=True)


@attrs.frozen
class Change:
    """One change of a tree. Each attribute is an index, taken modulo the number of choices."""

    what: int
    place: int
    value: int

    def apply(self, tree: Node) -> None:
        slots = tree.slots()
        if slots:
            node, index = slots[self.place % len(slots)]
            _CHANGES[self.what % len(_CHANGES)](node, index, self.value)


def _replace(node: Node, index: int, value: int) -> None:
    node.inner[index] = (node.inner[index][0], Node(JUNK[value % len(JUNK)]))


def _remove(node: Node, index: int, _: int) -> None:
    del node.inner[index]


def _double(node: Node, index: int, value: int) -> None:
    """Insert a second field of the same name, before or after."""
    node.inner.insert(index + value % 2, (node.inner[index][0], Node(JUNK[value // 2 % len(JUNK)])))


def _rename(node: Node, index: int, value: int) -> None:
    node.inner[index] = (NAMES[value % len(NAMES)], node.inner[index][1])


def _add(node: Node, index: int, value: int) -> None:
    node.inner.insert(index, (b"new", Node(JUNK[value % len(JUNK)])))


def _wrap(node: Node, index: int, value: int) -> None:
    name, inner = node.inner[index]
    node.inner[index] = (name, Node(inner=[(b"inner", inner)], named=value % 2 == 0))


def _swap(node: Node, index: int, value: int) -> None:
    other = value % len(node.inner)
    (name, inner), (other_name, other_inner) = node.inner[index], node.inner[other]
    node.inner[index], node.inner[other] = (name, other_inner), (other_name, inner)


_CHANGES: Final = (_replace, _replace, _replace, _remove, _double, _rename, _add, _wrap, _swap)


def body(
    rows: int, changes: Sequence[Change], *, unknown: bool, before: int = 0, after: int = 0, cut: int = 0
) -> bytes:
    """Return a page with these changes, with text before and after it, and its last `cut` bytes removed."""
    tree = valid_page(rows, unknown=unknown)
    for change in changes:
        change.apply(tree)
    written = ENDS[before % len(ENDS)] + tree.written() + ENDS[after % len(ENDS)]
    return written[: len(written) - cut] if cut else written
