"""Drops from device code the definitions and imports that nothing needs.

A definition stays while anything could mean it: its name read in its module, imported from it,
read as an attribute of whatever, or written as a string. An import goes only when the names it
binds were needed before the folding and are not needed any more.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeGuard

from host_tools.flashing.scopes import DEFINITIONS, assigned_names, module_aliases

Trees = Mapping[str, ast.Module]  # by dotted module name
_PURE = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Dict),
    *(ast.UnaryOp, ast.BinOp, ast.unaryop, ast.operator, ast.expr_context),
)
_PURE_CALLS = ("namedtuple", "const")


class Uses:
    """What could mean a definition of a module, and which names each function reads."""

    def __init__(self, trees: Trees) -> None:
        self.anywhere: set[str] = set()  # attributes of whatever, and strings
        self.in_module: dict[str, set[str]] = {name: set() for name in trees}
        self.in_function: dict[ast.AST, set[str]] = {}
        for name, tree in trees.items():
            self.in_module[name] |= _read_names(tree)
            aliases = module_aliases(tree, trees)
            nodes = list(ast.walk(tree))
            types = {id(node.args[0]) for node in nodes if _makes_type(node)}
            for node in nodes:
                if id(node) not in types:  # the name that a namedtuple gives itself means nothing
                    self._take(node, aliases)

    def _take(self, node: ast.AST, aliases: Mapping[str, str]) -> None:
        if isinstance(node, DEFINITIONS):
            self.in_function[node] = _read_names(node)
        elif isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id in aliases:
                self.in_module[aliases[node.value.id]].add(node.attr)
            else:
                self.anywhere.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.anywhere.add(node.value)
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            self.in_module.setdefault(node.module or "", set()).update(names)

    def means(self, module: str, name: str) -> bool:
        return name in self.anywhere or name in self.in_module[module]


def _makes_type(node: ast.AST) -> TypeGuard[ast.Call]:
    return _calls(node, ("namedtuple",)) and bool(node.args)


def _calls(node: ast.AST, names: Sequence[str]) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _read_names(inside: ast.AST) -> set[str]:
    return {
        node.id
        for node in ast.walk(inside)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
    }


def sweep(trees: Trees, before: Uses, kept: Sequence[str]) -> None:
    """In place. `before` are the uses before the folding."""
    dropped = True
    while dropped:
        dropped = False
        used = Uses(trees)
        for module, tree in trees.items():
            stays = whole(module, kept)
            needed = [node for node in tree.body if _needed(used, module, node, stays)]
            dropped = dropped or len(needed) < len(tree.body)
            tree.body = needed
            dropped = _drop_imports(module, tree, before, used) or dropped
    for tree in trees.values():
        for node in ast.walk(tree):
            if getattr(node, "body", None) == []:
                node.body = [ast.Pass()]  # type: ignore[attr-defined]


def whole(module: str, kept: Sequence[str]) -> bool:
    """Whether a module belongs to a package of `kept`."""
    return any(f"{module}.".startswith(f"{each}.") for each in kept)


def empty(tree: ast.Module) -> bool:
    """True when a module defines nothing and does nothing."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in tree.body
    )


def _needed(used: Uses, module: str, node: ast.stmt, stays: bool) -> bool:
    """Whether a statement of the module's own level must stay."""
    if isinstance(node, ast.Assign):
        may_go = _pure(node.value)
    elif isinstance(node, DEFINITIONS):
        may_go = not node.decorator_list
    else:
        may_go = isinstance(node, ast.Try) and _portability(node)
    names = assigned_names(node)
    return stays or not may_go or not names or any(used.means(module, name) for name in names)


def _pure(value: ast.expr) -> bool:
    """Whether to compute a value changes nothing else."""
    if _calls(value, _PURE_CALLS):
        return all(_pure(each) for each in value.args)
    return all(isinstance(node, _PURE) for node in ast.walk(value))


def _portability(node: ast.Try) -> bool:
    """A try that only chooses where its names come from, one way for each interpreter."""
    bodies = [node.body, *[handler.body for handler in node.handlers]]
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign)
    return all(isinstance(each, kinds) for body in bodies for each in body)


def first_ways(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Of what is done one way for each interpreter the first: MicroPython's, by convention."""
    for node in body:
        if isinstance(node, ast.Try) and _portability(node):
            yield from node.body
        else:
            yield node


def _drop_imports(module: str, tree: ast.Module, before: Uses, used: Uses) -> bool:
    """True when some went."""

    def gone(alias: ast.alias) -> bool:
        name = _bound(alias)
        if used.means(module, name):
            return False
        return before.means(module, name) or alias.asname == alias.name  # or to be passed on

    def unread(function: ast.AST, alias: ast.alias) -> bool:
        return _bound(alias) in before.in_function[function] - used.in_function[function]

    dropped = _without(tree.body, gone)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            dropped = _without(node.body, partial(unread, node)) or dropped
    return dropped


def _without(body: list[ast.stmt], gone: Callable[[ast.alias], bool]) -> bool:
    """Drops imports from a body and the blocks in it, not in definitions; True when some went."""
    dropped = False
    for node in list(body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            left = [alias for alias in node.names if not gone(alias)]
            dropped = dropped or len(left) < len(node.names)
            node.names = left
            if not left:
                body.remove(node)
        elif not isinstance(node, DEFINITIONS):
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
            blocks += [handler.body for handler in getattr(node, "handlers", [])]
            for block in blocks:
                dropped = _without(block, gone) or dropped
    return dropped


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]
