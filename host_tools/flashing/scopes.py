"""Which module or constant a name of device code stands for, scope by scope.

Deliberately cautious: a name with more than one binding in its scope stands for nothing known, and
what stands for nothing known is left alone by folding.py.
"""

import ast
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Imported:
    """What an import binds: a module (`name` None), or a name of one."""

    module: str
    name: str | None


OTHER = "other"  # any other binding
Binding = Imported | str


class Scope:
    """The bindings of a module, a function or a class body, not of what is defined inside it."""

    def __init__(self, node: ast.AST) -> None:
        self.is_class = isinstance(node, ast.ClassDef)
        self.bindings: dict[str, list[Binding]] = {}
        self.elsewhere: set[str] = set()  # declared global or nonlocal here
        if isinstance(node, Function):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            for argument in [*every, arguments.vararg, arguments.kwarg]:
                if argument:
                    self._bind(argument.arg, OTHER)
        for child in inside(node):
            self._take(child)
        for name in self.elsewhere:
            self.bindings.pop(name, None)

    def _bind(self, name: str, binding: Binding) -> None:
        self.bindings.setdefault(name, []).append(binding)

    def _take(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                self._bind(alias.asname or whole, Imported(whole, None))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self._bind(alias.asname or alias.name, Imported(node.module or "", alias.name))
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            self.elsewhere.update(node.names)
        elif isinstance(node, (*DEFINITIONS, ast.ExceptHandler)) and node.name:
            self._bind(node.name, OTHER)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self._bind(node.id, OTHER)

    def only(self, name: str) -> Binding | None:
        """The one thing `name` is bound to here; the same import may be written repeatedly."""
        found = self.bindings.get(name, [])
        return found[0] if found and all(each == found[0] for each in found) else None


def binder(name: str, scopes: Sequence[Scope]) -> Scope | None:
    """The function or class that binds a name read in the innermost of `scopes`, whose first is
    the module's; None when the module does, or nobody."""
    for at in range(len(scopes) - 1, 0, -1):
        scope = scopes[at]
        if name in scope.bindings and (not scope.is_class or at == len(scopes) - 1):
            return scope
    return None


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below a node that runs in its own scope; nested definitions, not their bodies.

    Comprehensions count as part of it, which can only make a name look bound more often.
    """
    if isinstance(node, ast.Lambda):
        below: list[ast.AST] = [node.body]
    elif isinstance(node, (*DEFINITIONS, ast.Module)):
        below = list(node.body)
    else:
        below = list(ast.iter_child_nodes(node))
    for child in below:
        yield child
        if isinstance(child, DEFINITIONS):
            yield from _outside(child)
        elif isinstance(child, ast.Lambda):
            for default in [*child.args.defaults, *child.args.kw_defaults]:
                if default:
                    yield default
                    yield from inside(default)
        else:
            yield from inside(child)


def _outside(node: Definition) -> Iterator[ast.AST]:
    """What of a definition is evaluated around it: decorators, defaults, bases."""
    around: list[ast.expr | None] = [*node.decorator_list]
    if isinstance(node, ast.ClassDef):
        around += [*node.bases, *[keyword.value for keyword in node.keywords]]
    else:
        around += [*node.args.defaults, *node.args.kw_defaults]
    for each in around:
        if each:
            yield each
            yield from inside(each)


def assigned_names(node: ast.stmt) -> list[str]:
    """What a statement of a module's own level defines; empty when not only plain names."""
    if isinstance(node, DEFINITIONS):
        return [node.name]
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return names if len(names) == len(node.targets) else []
    if isinstance(node, ast.Try):
        return list(Scope(ast.Module(body=[node], type_ignores=[])).bindings)
    return []


def module_aliases(tree: ast.Module, modules: Container[str]) -> dict[str, str]:
    """Names that stand for one of `modules` in every scope of a file that binds them at all."""
    bound: dict[str, list[Binding]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.Lambda, *DEFINITIONS)):
            for name, bindings in Scope(node).bindings.items():
                bound.setdefault(name, []).extend(bindings)
    aliases = {}
    for name, bindings in bound.items():
        first = bindings[0]
        if isinstance(first, Imported) and all(each == first for each in bindings):
            meant = f"{first.module}.{first.name}" if first.name else first.module
            if meant in modules:
                aliases[name] = meant
    return aliases
