"""Gives the parameters of device functions a few shared names.

MicroPython keeps the name of every parameter on the heap for ever, and of other locals none. A
parameter that no call anywhere names by keyword can be called anything, so all functions share
`_0`, `_1` and so on; only a TypeError's text could tell.
"""

import ast
from collections.abc import Iterable

from host_tools.flashing.scopes import Function, Scope

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def keywords(trees: Iterable[ast.AST]) -> set[str]:
    """Names that some call gives to an argument, by keyword or in a dictionary."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg:
                found.add(node.arg)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def share(tree: ast.AST, named: set[str], depth: int = 0) -> None:
    """Renames in place, below `tree`, what is not in `named`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            _rename(node, named, depth)
            share(node, named, depth + len(_parameters(node)))
        else:
            share(node, named, depth)


def _parameters(node: Function) -> list[ast.arg]:
    arguments = node.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _rename(function: Function, named: set[str], depth: int) -> None:
    for number, parameter in enumerate(_parameters(function), depth):
        if parameter.arg not in named and not _rebound(function, parameter.arg):
            old, parameter.arg = parameter.arg, f"_{number}"
            body = function.body if isinstance(function.body, list) else [function.body]
            for statement in body:
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and node.id == old:
                        node.id = parameter.arg


def _rebound(function: Function, name: str) -> bool:
    """Whether something inside the function has a `name` of its own, or reaches for this one."""
    for node in ast.walk(function):
        if node is not function and isinstance(node, _NESTED) and name in Scope(node).bindings:
            return True
        if isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names:
            return True
        if isinstance(node, (ast.ExceptHandler, ast.alias)) and name in _names(node):
            return True
    return False


def _names(node: ast.ExceptHandler | ast.alias) -> tuple[str | None, ...]:
    if isinstance(node, ast.alias):
        return (node.asname or node.name.partition(".")[0],)
    return (node.name,)
