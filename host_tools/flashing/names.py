"""Gives what device code defines for itself a few shared names.

MicroPython keeps every name that code uses on the heap for ever, once. Two names may become one
where nothing could have both: attributes of classes that are no relatives, fields of two record
types, functions of two modules. All of the program is renamed at once, name by name, so that
whatever is reached is what was meant. A name is left alone as soon as anybody else may use it:
the boards, a look-up by name, a keyword of a call, the interpreter's own objects; and where an
attribute that not exactly one class makes for itself is set from outside, because whose it is
cannot be told. Most short names are some that the interpreter has anyway. Only a traceback shows
the difference; for its reader there is a list.
"""

import ast
import asyncio
import builtins
import hashlib
import io
import os
import socket
import ssl
import string
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from host_tools.flashing import rom_names, sweeping
from host_tools.flashing.scopes import DEFINITIONS, OTHER, Function, Imported, Scope

_LIBRARIES = (asyncio, builtins, hashlib, io, os, socket, ssl, struct, sys, time)
# Of objects that device code gets from MicroPython, and CPython's lack or do not show.
_FOREIGN = {
    *("aclose", "awrite", "cancel", "close", "const", "data", "done", "drain", "errno", "get"),
    *("get_extra_info", "getvalue", "ioctl", "ipoll", "is_set", "locked", "modify", "ph_key"),
    *("poll", "ready", "register", "s", "state", "threshold", "ticks_diff", "ticks_ms"),
    *("unregister", "value", "wait", "wait_for_ms", "Stream", "_build", "floor"),
}
_ERRORS = ("Exception", "Error", "Malformed", "Unavailable")  # their names are told to people

_LETTERS = string.ascii_uppercase

Place = tuple[str, str]  # what has names: a module, a class with its relatives, a record type


@dataclass
class _Names:
    """What is known of every name of the program."""

    places: dict[str, set[Place]] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)
    relatives: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    computed: bool = False  # some name is looked up that the source does not spell out

    def found(self, name: str, place: Place, defines: bool = True) -> None:
        self.places.setdefault(name, set()).add(place)
        if defines:
            self.defined.add(name)

    def relate(self, name: str, other: str) -> None:
        self.relatives[self.family(name)] = self.family(other)

    def family(self, name: str) -> str:
        while name in self.relatives and self.relatives[name] != name:
            name = self.relatives[name]
        return name


def share(
    trees: Mapping[str, ast.Module], shared: Sequence[str], kept: Sequence[str]
) -> dict[str, str]:
    """Renames in place in the packages `shared`; what is not theirs keeps its names, and what the
    packages in `kept` define. -> the short name of every name that got one."""
    names = _Names()
    names.fixed |= _FOREIGN | set(dir(builtins))
    for library in _LIBRARIES:
        names.fixed |= set(dir(library))
        for each in vars(library).values():
            names.fixed |= set(dir(each)) if isinstance(each, type) else set()
    for module, tree in trees.items():
        names.fixed.update(module.split("."))
        names.taken |= set(_every(tree))
        if not sweeping.whole(module, shared):
            names.fixed |= set(_every(tree))
            continue
        if sweeping.whole(module, kept):
            bindings = Scope(tree).bindings.items()
            names.fixed |= {name for name, found in bindings if OTHER in found}
        _Look(names, module, trees).look(tree)
    for name in names.outside:
        owners = {names.family(of) for kind, of in names.places.get(name, ()) if kind == "class"}
        if len(owners) != 1:
            names.fixed.add(name)
    if names.computed:
        names.fixed |= names.said
    short = _chosen(names)
    for module, tree in trees.items():
        if sweeping.whole(module, shared):
            _Rename(short, module, trees).look(tree)
    return short


def _every(tree: ast.AST) -> Iterable[str]:
    """Every identifier of a file, and its strings."""
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str):
                    yield from each.split(".") if isinstance(node, ast.ImportFrom) else [each]


def _chosen(names: _Names) -> dict[str, str]:
    """The most widely used name chooses first."""
    used: dict[Place, set[str]] = {}
    short = {}
    candidates = {
        name: {(kind, names.family(of) if kind == "class" else of) for kind, of in places}
        for name, places in names.places.items()
        if name in names.defined - names.fixed and not name.startswith("__")
    }
    for name, places in sorted(candidates.items(), key=lambda item: (-len(item[1]), item[0])):
        letters = any(kind == "module" for kind, _ in places)
        for new in _short(letters):
            if new in names.taken and (letters or not new.startswith("_")):
                continue
            if all(new not in used.get(place, ()) for place in places):
                break
        short[name] = new
        for place in places:
            used.setdefault(place, set()).add(new)
    return short


def _short(letters: bool) -> Iterator[str]:
    """The names to choose from, cheapest first.

    _0 to _9 are there as parameters, which what a module has must not be hidden by.
    """
    if not letters:
        yield from (f"_{number}" for number in range(10))
    yield from rom_names.NAMES
    yield from (f"_{first}{second}" for first in ["", *_LETTERS] for second in _LETTERS)


def record_type(node: ast.AST) -> tuple[ast.Constant, list[ast.Constant]] | None:
    """Name and fields of a namedtuple call, each a string in the source; None if it is none."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    if node.func.id != "namedtuple" or len(node.args) != 2:
        return None
    name, fields = node.args
    each = fields.elts if isinstance(fields, (ast.Tuple, ast.List)) else [fields]
    texts = [item for item in each if isinstance(item, ast.Constant)]
    if not isinstance(name, ast.Constant) or len(texts) != len(each):
        return None
    return name, texts


class _Walk:
    """Visits a file with the scopes around each name."""

    def __init__(self, module: str, trees: Mapping[str, ast.Module]) -> None:
        self.module = module
        self.trees = trees
        self.scopes: list[Scope] = []
        self.owner: list[ast.AST] = []

    def look(self, node: ast.AST) -> None:
        self.scopes.append(Scope(node))
        self.owner.append(node)
        self.below(node, whole=True)
        self.scopes.pop()
        self.owner.pop()

    def below(self, node: ast.AST, whole: bool = False) -> None:
        if whole and isinstance(node, (ast.Lambda, *DEFINITIONS)):
            for child in _body(node):
                self.visit(child)
            return
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, (ast.Lambda, *DEFINITIONS)) and child in _body(node)):
                self.visit(child)

    def visit(self, node: ast.AST) -> None:
        self.take(node)
        if record_type(node):
            return
        self.below(node)  # of a definition what is evaluated around it
        if isinstance(node, (ast.Lambda, *DEFINITIONS)):
            self.look(node)

    def take(self, node: ast.AST) -> None:
        raise NotImplementedError

    def local(self, name: str) -> bool:
        """Whether it is some function's own."""
        for at in range(len(self.scopes) - 1, 0, -1):
            scope = self.scopes[at]
            if name in scope.bindings and not scope.is_class:
                return True
            if name in scope.bindings and at == len(self.scopes) - 1:
                return False
        return False

    def ours(self, node: ast.ImportFrom) -> bool:
        return (node.module or "") in self.trees


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    """Its methods, and all that is looked at in them."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, DEFINITIONS):
            yield each.name


def _said(node: ast.AST) -> set[str]:
    """Names that a node spells out."""
    if isinstance(node, ast.Nonlocal):
        return set(node.names)
    said: object = None
    if isinstance(node, ast.keyword):
        said = node.arg
    elif isinstance(node, ast.ExceptHandler):
        said = node.name
    elif _looks_up(node) and isinstance(node.args[1], ast.Constant):
        said = node.args[1].value
    return {said} if isinstance(said, str) else set()


def _looks_up(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether an attribute is asked for by its name."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    return node.func.id in ("getattr", "hasattr", "setattr", "delattr") and len(node.args) > 1


def _body(node: ast.AST) -> list[ast.AST]:
    body = getattr(node, "body", [])
    return body if isinstance(body, list) else [body]


class _Look(_Walk):
    """Finds what has which names."""

    def __init__(self, names: _Names, module: str, trees: Mapping[str, ast.Module]) -> None:
        super().__init__(module, trees)
        self.names = names

    def bound(self, name: str, defines: bool) -> None:
        """A name as the innermost scope or the module sees it."""
        if self.local(name):
            return
        owner = self.owner[-1]
        if isinstance(owner, ast.ClassDef) and name in self.scopes[-1].bindings:
            self.names.found(name, ("class", owner.name), defines)
        self.names.found(name, ("module", self.module), defines)

    def take(self, node: ast.AST) -> None:
        kind = record_type(node)
        if kind:
            title, fields = kind
            for text in fields:
                for name in str(text.value).replace(",", " ").split():
                    self.names.found(name, ("record", f"{self.module} {title.value!r}"))
        elif isinstance(node, ast.Name):
            self.bound(node.id, isinstance(node.ctx, ast.Store))
        elif isinstance(node, DEFINITIONS):
            self.defined(node)
        elif isinstance(node, ast.Attribute):
            self.attribute(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.imported(node)
        elif isinstance(node, ast.Global):
            for name in node.names:
                self.names.found(name, ("module", self.module))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.names.said.add(node.value)
        else:
            self.names.fixed |= _said(node)
            if _looks_up(node) and not isinstance(node.args[1], ast.Constant):
                self.names.computed = True

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            self.bound(bound, False)
            if not isinstance(node, ast.ImportFrom) or not self.ours(node):
                self.names.fixed.update((bound, alias.name))

    def defined(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        owner = self.owner[-1]
        if isinstance(owner, ast.ClassDef):
            self.names.found(node.name, ("class", owner.name))
        elif isinstance(owner, ast.Module):
            self.names.found(node.name, ("module", self.module))
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = base.attr if isinstance(base, ast.Attribute) else ast.unparse(base)
                self.names.relate(node.name, name)
                if isinstance(base, ast.Attribute) and self.foreign(base):
                    self.names.fixed |= set(_attributes(node))
                if name.endswith(_ERRORS):
                    self.names.fixed.add(node.name)

    def foreign(self, node: ast.Attribute) -> bool:
        """Whether it is a library's."""
        if not isinstance(node.value, ast.Name) or self.local(node.value.id):
            return False
        means = self.scopes[0].only(node.value.id)
        if not isinstance(means, Imported):
            return False
        whole = f"{means.module}.{means.name}" if means.name else means.module
        return whole not in self.trees and means.module not in self.trees

    def attribute(self, node: ast.Attribute) -> None:
        if self.foreign(node):
            self.names.fixed.add(node.attr)
        if isinstance(node.ctx, ast.Load):
            return
        if len(self.owner) > 2 and isinstance(self.owner[-2], ast.ClassDef):
            method = self.owner[-1]
            if isinstance(method, Function) and isinstance(node.value, ast.Name):
                first = method.args.args[:1]
                if first and first[0].arg == node.value.id:
                    self.names.found(node.attr, ("class", self.owner[-2].name))
                    return
        self.names.outside.add(node.attr)


class _Rename(_Walk):
    def __init__(
        self, short: Mapping[str, str], module: str, trees: Mapping[str, ast.Module]
    ) -> None:
        super().__init__(module, trees)
        self.short = short

    def take(self, node: ast.AST) -> None:
        new = self.short
        kind = record_type(node)
        if kind:
            title, fields = kind
            title.value = new.get(str(title.value), title.value)
            for text in fields:
                every = str(text.value).replace(",", " ").split()
                text.value = " ".join(new.get(name, name) for name in every)
        elif isinstance(node, ast.Name):
            if not self.local(node.id):
                node.id = new.get(node.id, node.id)
        elif isinstance(node, ast.Attribute):
            node.attr = new.get(node.attr, node.attr)
        elif isinstance(node, DEFINITIONS):
            if not isinstance(self.owner[-1], Function):
                node.name = new.get(node.name, node.name)
        elif isinstance(node, ast.ImportFrom) and self.ours(node):
            for alias in node.names:
                bound = alias.asname or alias.name
                alias.name = new.get(alias.name, alias.name)
                shown = bound if self.local(bound) else new.get(bound, bound)
                alias.asname = None if shown == alias.name else shown
        elif isinstance(node, ast.Global):
            node.names = [new.get(name, name) for name in node.names]
