"""Write `docs/reference.md` from the docstrings: ``python -m tests.reference``. A test compares it with the code."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import jogg_async.testing
from jogg_async import RetryPolicy

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference.md"
WIDTH: Final = 120

SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Session": ("JoggSession",),
    "Pager": ("TrackPager", "PageIterator", "Progress", "SaveReport"),
    "Models": ("Track", "Page", "Pagination", "TrackList", "InvalidRecord"),
    "Downloads": ("download", "DownloadReport", "DownloadProgress"),
    "Retry": ("RetryPolicy",),
    "Errors": (
        "JoggError",
        "ConfigurationError",
        "SessionClosedError",
        "APIError",
        "AuthenticationError",
        "PermissionDeniedError",
        "InsufficientCreditError",
        "NotFoundError",
        "ParameterError",
        "RateLimitError",
        "ServerError",
        "TransportError",
        "DecodeError",
        "CatalogueChangedError",
        "CatalogueChangedWarning",
    ),
    "Test kit": ("FakeJogg", "Fault", "RateLimit", "Catalogue", "CatalogueView", "RecordedRequest", "GENRES", "MOODS"),
}
"""The public names, by heading."""

NOT_CALLED: Final = (
    "TrackPager",
    "PageIterator",
    "DownloadReport",
    "DownloadProgress",
    "Fault",
    "CatalogueView",
    "RecordedRequest",
)
"""Classes that users do not construct. (Neither do they construct errors, which are not listed.)"""

HEAD: Final = """\
# Reference

Import these names from `jogg_async`, and those of the test kit from `jogg_async.testing`. Other modules are private.

<!-- Written from the docstrings by `python -m tests.reference`. Edit those, not this page. -->
"""

FIXTURES: Final = "The pytest plugin is active as soon as the package is installed. Its fixtures:\n"

PREFIXES: Final = defaultdict(str, VAR_POSITIONAL="*", VAR_KEYWORD="**")
"""Prefix of a parameter, by its kind."""

ITEMS: Final = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}
"""Sections of a docstring that are lists of names, with their headings."""


def render_page() -> str:
    """Return the whole page."""
    return "\n".join((HEAD, *_contents(), *(line for title in SECTIONS for line in _section(title)))).rstrip() + "\n"


def _contents() -> Iterator[str]:
    for title, names in SECTIONS.items():
        links = ", ".join(f"[{name}](#{name.lower()})" for name in names)
        yield textwrap.fill(f"- {title}: {links}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    yield ""


def _section(title: str) -> Iterator[str]:
    module = "jogg_async.testing" if title == "Test kit" else "jogg_async"
    yield f"## {title}\n"
    for name in SECTIONS[title]:
        value = getattr(importlib.import_module(module), name)
        yield f"### {name}\n"
        if isinstance(value, FunctionType):
            yield _code(_signature(name, value))
            yield from _docstring(value.__doc__ or "")
        else:
            yield from _class(value) if isinstance(value, type) else _constant(name, value)
    if title == "Test kit":
        yield from _fixtures()


def _constant(name: str, value: object) -> Iterator[str]:
    yield _code(textwrap.fill(f"{name} = {value!r}", WIDTH, subsequent_indent="    "))
    modules = Path(jogg_async.testing.__file__).parent.glob("*.py")
    (text,) = (docs[name] for docs in map(_attribute_docs, map(Path.read_text, modules)) if name in docs)
    yield from _docstring(text)


def _class(value: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    if bases:
        yield f"Bases: `{bases}`\n"
    if value.__name__ not in NOT_CALLED and not issubclass(value, Exception):
        yield _code(_signature(value.__name__, value))
    yield from _docstring(value.__doc__ or "")
    for name, text in _attribute_docs(textwrap.dedent(inspect.getsource(value))).items():
        yield f"#### {value.__name__}.{name}\n"
        yield from _docstring(text)
    for name, member in vars(value).items():
        if not name.startswith("_") and isinstance(member, property | classmethod | staticmethod | FunctionType):
            yield from _member(value.__name__, name, member)


def _member(owner: str, name: str, member: Any) -> Iterator[str]:
    yield f"#### {owner}.{name}\n"
    if isinstance(member, property):
        function = member.fget
        yield _code(f"{name}: {inspect.signature(function).return_annotation}" if function else name)
    else:
        function = getattr(member, "__func__", member)
        yield _code(_signature(name, function))
    yield from _docstring(inspect.getdoc(function) or "")


def _fixtures() -> Iterator[str]:
    yield FIXTURES
    plugin = importlib.import_module("jogg_async.testing.plugin")
    for name in plugin.__all__:
        if not name.startswith("pytest_"):
            yield f"### {name}\n"
            yield from _docstring(inspect.getdoc(getattr(plugin, name).__wrapped__) or "")


def _signature(name: str, function: Any) -> str:
    """Return a call such as ``page(number: int = 1) -> Page``, on several lines if it is long."""
    signature = inspect.signature(function)
    arguments = list(_arguments(signature))
    prefix = "async " if inspect.iscoroutinefunction(function) else ""
    returns = "" if isinstance(function, type) else f" -> {signature.return_annotation}"
    line = f"{prefix}{name}({', '.join(arguments)}){returns}"
    if len(line) <= WIDTH:
        return line
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"{prefix}{name}(\n{lines}){returns}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        prefix = PREFIXES[parameter.kind.name]
        annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        yield f"{prefix}{parameter.name}{annotation}{_default(parameter)}"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    return " = RetryPolicy()" if parameter.default == RetryPolicy() else f" = {parameter.default!r}"


def _attribute_docs(source: str) -> dict[str, str]:
    """Return the strings that follow assignments at the top of a module or of its first class."""
    body = ast.parse(source).body
    if isinstance(body[0], ast.ClassDef):
        body = body[0].body
    docs: dict[str, str] = {}
    for assignment, text in pairwise(body):
        match assignment, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                docs[name] = words
            case _:
                pass
    return {name: text for name, text in docs.items() if not name.startswith("_")}


def _docstring(text: str) -> Iterator[str]:
    """Return a docstring as Markdown."""
    paragraphs = inspect.cleandoc(text).replace("``", "`").split("\n\n")
    for paragraph in paragraphs:
        title, _, rest = paragraph.partition(":\n")
        if title in ITEMS:
            yield f"{ITEMS[title]}:\n"
            yield from _items(textwrap.dedent(rest))
            yield ""
        elif paragraph.startswith("    "):
            yield _code(textwrap.dedent(paragraph))
        elif paragraph != "::":
            yield f"{paragraph}\n"


def _items(text: str) -> Iterator[str]:
    for item in re.split(r"\n(?=\S)", text):
        name, _, rest = item.partition(": ")
        line = f"- `{name}`: {' '.join(rest.split())}"
        yield textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def _code(text: str) -> str:
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
