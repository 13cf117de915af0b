"""Writes modules that are always loaded together as one.

On MicroPython every module costs its own dict, its tables of names and constants, an entry
wherever it is imported, and three names that are kept for ever: some 700 bytes of a small heap
before it does anything. So what the import of a root loads anyway becomes part of the root's own
file, in the order in which it would have run; names that two of them define are told apart.
Whoever loads one of them later finds it in the root. A module that anything looks at as an object,
or whose globals somebody else sets, stays apart.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from host_tools.flashing.scopes import DEFINITIONS, Imported, Scope, binder

Trees = Mapping[str, ast.Module]  # by dotted module name
Scopes = Mapping[str, Scope]  # of the modules' own levels
_LOCAL = (ast.Lambda, *DEFINITIONS)
_TOLD = ("Malformed", "Unavailable", "Error")  # the names of errors reach people


@dataclass
class Joined:
    """One file to be: its root, all its modules in order, and what their names become."""

    root: str
    members: list[str]
    renamed: dict[tuple[str, str], str] = field(default_factory=dict)


def join(trees: dict[str, ast.Module], roots: Sequence[Sequence[str]]) -> None:
    """In place: the members' trees move into their roots' and are gone from `trees`.

    Each of `roots` is a root, and modules that it loads too but that stay apart: what those load
    becomes part of it. The first root is loaded before everything else; another one gets only
    what nobody else imports.
    """
    for root, *others in roots:
        if root not in trees:
            continue
        apart: set[str] = set()
        scopes = {name: Scope(tree) for name, tree in trees.items()}
        while True:
            loaded = _loaded(trees, [*others, root], apart, first=root == roots[0][0])
            group = Joined(root, [name for name in loaded if name not in others])
            objects = _used_as_objects(trees, scopes, set(group.members)) - {root}
            if not objects:
                break
            apart |= objects
        _name(trees, scopes, group)
        _write(trees, scopes, group)


def _top(tree: ast.Module, trees: Trees) -> Iterator[str]:
    """The modules of ours that a module's own level imports, in order."""
    for node in tree.body:
        yield from _imports(node, trees)


def _imports(node: ast.AST, trees: Trees) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in trees)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            if whole in trees:
                yield whole
            elif node.module and node.module in trees:
                yield node.module


def _loaded(trees: Trees, roots: Sequence[str], apart: set[str], first: bool) -> list[str]:
    """What importing `roots` loads, each after what it needs itself; the last root comes last."""
    packages = {name.rpartition(".")[0] for name in trees}
    order: list[str] = []
    seen = set(apart)

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for each in _top(trees[name], trees):
                visit(each)
            order.append(name)

    for root in roots:
        visit(root)
    order = [name for name in order if name not in packages]
    return order if first else _alone(trees, order)


def _alone(trees: Trees, order: list[str]) -> list[str]:
    """Those that only each other import, and the root at the end."""
    users: dict[str, set[str]] = {}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            for used in _imports(node, trees):
                users.setdefault(used, set()).add(name)
    while True:
        inside = [name for name in order[:-1] if users.get(name, set()) <= set(order)] + order[-1:]
        if inside == order:
            return order
        order = inside


class _Names(ast.NodeTransformer):
    """Knows what a name means while it walks through one module."""

    def __init__(self, trees: Trees, scopes: Scopes, module: str) -> None:
        self.trees = trees
        self.known = scopes
        self.module = module
        self.scopes = [scopes[module]]

    def meaning(self, name: str) -> Imported | None:
        """A module (`name` None), or a module-level name of one; None when it is something's own.

        What no scope binds, such as a builtin, reads as a name of this module.
        """
        inner = binder(name, self.scopes)
        if inner is None:
            return self.global_name(self.module, name)
        found = inner.only(name)
        return self.followed(found) if isinstance(found, Imported) else None

    def local(self, name: str) -> bool:
        """Whether a function or a class around here binds it."""
        return binder(name, self.scopes) is not None

    def global_name(self, module: str, name: str) -> Imported:
        found = self.known[module].only(name) if module in self.known else None
        return self.followed(found) if isinstance(found, Imported) else Imported(module, name)

    def followed(self, found: Imported) -> Imported:
        if found.name is None:
            return found
        if f"{found.module}.{found.name}" in self.trees:
            return Imported(f"{found.module}.{found.name}", None)
        if found.module in self.trees:
            return self.global_name(found.module, found.name)
        return found

    def definition(self, node: ast.AST) -> ast.AST:
        """Decorators, defaults and bases belong to the scope around; the body has its own."""
        inner = Scope(node)
        for name, value in ast.iter_fields(node):
            if name == "body":
                self.scopes.append(inner)
            if isinstance(value, list):
                value[:] = self.visited(value)
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
            if name == "body":
                self.scopes.pop()
        return node

    def visited(self, nodes: list[ast.AST]) -> list[ast.AST]:
        out: list[ast.AST] = []
        for node in nodes:
            made = self.visit(node)
            out += made if isinstance(made, list) else [made] if made is not None else []
        return out

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self.definition(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = definition


def _used_as_objects(trees: Trees, scopes: Scopes, members: set[str]) -> set[str]:
    """Which of `members` are used in a way that only a module of its own can serve."""
    found: set[str] = set()
    for name, tree in trees.items():
        _Uses(trees, scopes, name, members, found).visit(tree)
    return found


class _Uses(_Names):
    def __init__(
        self, trees: Trees, scopes: Scopes, module: str, members: set[str], found: set[str]
    ) -> None:
        super().__init__(trees, scopes, module)
        self.members = members
        self.found = found

    def visit_Name(self, node: ast.Name) -> ast.AST:
        means = self.meaning(node.id)
        if means and means.name is None and means.module in self.members:
            self.found.add(means.module)  # as an object
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name):
            means = self.meaning(node.value.id)
            if means and means.name is None:
                if means.module in self.members and not isinstance(node.ctx, ast.Load):
                    self.found.add(means.module)
                return node
        return self.generic_visit(node)


def _bound_anywhere(tree: ast.Module) -> set[str]:
    """Every name that some scope of a file binds, but for its own level."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, _LOCAL):
            bound |= set(Scope(node).bindings)
    return bound


def _within(means: Imported, members: Sequence[str]) -> bool:
    return means.module in members or f"{means.module}.{means.name}" in members


def _name(trees: Trees, scopes: Scopes, group: Joined) -> None:
    """A name stays as it is unless another module or some function has it too; the root's stay."""
    own = {name: scopes[name].bindings for name in group.members}
    counted: dict[str, int] = {}
    for bindings in own.values():
        for name in bindings:
            counted[name] = counted.get(name, 0) + 1
    local: set[str] = set()
    for tree in trees.values():
        local |= _bound_anywhere(tree)
    taken = {name for tree in trees.values() for name in _identifiers(tree)}
    for member, bindings in own.items():
        for name in bindings:
            only = scopes[member].only(name)
            elsewhere = isinstance(only, Imported) and not _within(only, group.members)
            if elsewhere and name not in local:
                group.renamed[member, name] = name  # the same for all
                continue
            new = name
            asked_for = member == group.root or name.endswith(_TOLD)  # by whoever is outside
            if not asked_for and (counted[name] > 1 or name in local):
                new = f"{member.rpartition('.')[2]}_{name}"
                while new in taken:
                    new += "_"
                taken.add(new)
            group.renamed[member, name] = new


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str):
                    yield each


def _write(trees: dict[str, ast.Module], scopes: Scopes, group: Joined) -> None:
    body: list[ast.stmt] = []
    old = dict(trees)  # what names mean is looked up in what the modules were
    for name in [*group.members, *[each for each in old if each not in group.members]]:
        walk = _Rewrite(old, scopes, name, group)
        made = walk.visited(list(old[name].body))
        if name in group.members:
            body += made  # type: ignore[arg-type]
        else:
            trees[name] = ast.Module(body=_once(made), type_ignores=[])  # type: ignore[arg-type]
    for name in group.members:
        del trees[name]
    trees[group.root] = ast.Module(body=_once(body), type_ignores=[])
    for tree in trees.values():
        for node in ast.walk(tree):
            if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]  # type: ignore[attr-defined]


def _once(body: list[ast.stmt]) -> list[ast.stmt]:
    """The same import only once."""
    seen: set[str] = set()
    out = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            text = ast.unparse(node)
            if text in seen:
                continue
            seen.add(text)
        out.append(node)
    return out


class _Rewrite(_Names):
    def __init__(self, trees: Trees, scopes: Scopes, module: str, group: Joined) -> None:
        super().__init__(trees, scopes, module)
        self.group = group
        self.inside = module in group.members
        names = set(_identifiers(trees[module]))
        self.alias = group.root.rpartition(".")[2]
        if self.alias in names and not self.inside:
            self.alias = f"{self.alias}_"  # something else here has the root's name

    def new(self, means: Imported) -> str | None:
        return self.group.renamed.get((means.module, means.name or ""))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self.inside:
            means = self.meaning(node.id)
            if not (means and _within(means, self.group.members)) and not self.local(node.id):
                means = Imported(self.module, node.id)  # from elsewhere, as it is called here
            node.id = (means and self.new(means)) or node.id
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name):
            return self.generic_visit(node)
        means = self.meaning(node.value.id)
        if not means or means.name is not None or means.module not in self.group.members:
            return self.generic_visit(node)
        target = self.global_name(means.module, node.attr)
        name = self.new(target) or node.attr
        if self.inside:
            return ast.copy_location(ast.Name(name, node.ctx), node)
        value = ast.Name(self.alias, ast.Load())
        return ast.copy_location(ast.Attribute(value, name, node.ctx), node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        if self.inside:
            node.names = [self.new(Imported(self.module, name)) or name for name in node.names]
        return node

    def named(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        if self.inside and len(self.scopes) == 1:
            node.name = self.new(Imported(self.module, node.name)) or node.name
        return self.definition(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = named  # type: ignore[assignment]

    def named_here(self, alias: ast.alias) -> ast.alias:
        """At a member's own level it is bound to what the group calls it."""
        bound = alias.asname or alias.name
        if not self.inside or len(self.scopes) > 1:
            return alias
        new = self.group.renamed.get((self.module, bound), bound)
        return ast.alias(alias.name, None if new == alias.name else new)

    def visit_Import(self, node: ast.Import) -> ast.AST | list[ast.AST]:
        left = [self.named_here(a) for a in node.names if a.name not in self.group.members]
        made: list[ast.AST] = [ast.Import(left)] if left else []
        if len(left) < len(node.names) and not self.inside:
            made.append(self.root_import())
        return made

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | list[ast.AST] | None:
        made: list[ast.AST] = []
        left = []
        for alias in node.names:
            bound = alias.asname or alias.name
            means = self.followed(Imported(node.module or "", alias.name))
            if means.module not in self.group.members:
                left.append(self.named_here(alias))
            elif not self.inside:
                made.append(self.outside(means, bound))
        if left:
            made.insert(0, ast.ImportFrom(node.module, left, 0))
        return made

    def root_import(self) -> ast.AST:
        package, _, root = self.group.root.rpartition(".")
        named = [ast.alias(root, None if self.alias == root else self.alias)]
        return ast.ImportFrom(package, named, 0) if package else ast.Import(named)

    def outside(self, means: Imported, bound: str) -> ast.AST:
        """The import that serves a module which is not part of the joined file."""
        if means.name is None:
            return self.root_import()
        name = self.new(means) or means.name
        asname = None if name == bound else bound
        return ast.ImportFrom(self.group.root, [ast.alias(name, asname)], 0)
