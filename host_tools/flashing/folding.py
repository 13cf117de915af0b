"""Device code as the build writes it: numbers in the place of their names, nothing left unused.

Every module-level integer of our own packages is written where it is used; then the definitions
and imports that nothing needs any more are dropped, so that a table of codes costs a module no
memory. What the program does stays the same. A name that is bound twice, shadowed or assigned from
outside is never folded, and what some string or attribute might mean is never dropped.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from host_tools.flashing import joining, names, parameters, sweeping
from host_tools.flashing.scopes import Imported, Scope, assigned_names, binder

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_SHIFT_MAX = 64


@dataclass
class _Module:
    """One source file; `constants` are the values of the names it assigns exactly once."""

    name: str
    tree: ast.Module
    scope: Scope
    constants: dict[str, ast.expr] = field(default_factory=dict)


def fold(
    sources: Mapping[str, str],
    kept: Sequence[str] = (),
    shared: Sequence[str] = (),
    short: dict[str, str] | None = None,
    roots: Sequence[Sequence[str]] = (),
) -> dict[str, str]:
    """The folded text of each source, by its slash-separated path under the import root.

    `sources` must hold everything that runs together. The packages in `kept` lose no definition:
    they are for somebody outside. Methods are never dropped, because C code may call them. The
    packages in `shared` get short names, which are added to `short`. `roots`: see joining.py.
    """
    trees = {_dotted(path): ast.parse(text, path) for path, text in sources.items()}
    before = sweeping.Uses(trees)
    for tree in trees.values():
        _Stripped().visit(tree)
        tree.body = list(sweeping.first_ways(tree.body))
    modules = {name: _Module(name, tree, Scope(tree)) for name, tree in trees.items()}
    program = _Program(modules)
    for module in modules.values():
        _Substitution(program, module).visit(module.tree)
    sweeping.sweep(trees, before, kept)
    joining.join(trees, roots)
    renamed = names.share(trees, shared, kept)
    if short is not None:
        short.update(renamed)
    named = parameters.keywords(trees.values())
    for name, tree in trees.items():
        if not sweeping.whole(name, kept):
            parameters.share(tree, named)
    folded = {}
    for path in sources:
        found = trees.get(_dotted(path))
        if found is None:  # joined
            continue
        tree = found
        if path.endswith("/__init__.py") or not sweeping.empty(tree):
            folded[path] = _text(tree)
    return folded


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _text(tree: ast.Module) -> str:
    """The source of a tree. `a, b = c, d` keeps its bare right side, where MicroPython makes no
    tuple; ast.unparse alone would put it in parentheses, where it does."""
    mark = "bare_tuple_"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
            continue
        if isinstance(node.targets[-1], ast.Tuple):
            node.value = ast.Call(ast.Name(mark, ast.Load()), node.value.elts, [])
    lines = ast.unparse(ast.fix_missing_locations(tree)).split("\n")
    for at, line in enumerate(lines):
        before, found, after = line.partition(f" = {mark}(")
        if found:
            lines[at] = f"{before} = {after.removesuffix(')')}"
    return "\n".join(lines) + "\n"


class _Stripped(ast.NodeTransformer):
    """Without annotations and what only a type checker reads."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            # Still a local of its function, so that nothing outside is meant by the name.
            return node if isinstance(node.target, ast.Name) else None
        return self.generic_visit(ast.copy_location(_assign(node.target, node.value), node))

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt] | None:
        if assigned_names(node) == ["TYPE_CHECKING"]:
            return None
        target, value = node.targets[0], node.value
        if (
            isinstance(target, ast.Tuple)
            and isinstance(value, ast.Tuple)
            and len(node.targets) == 1
            and len(target.elts) == len(value.elts)
            and all(isinstance(each, ast.Name) for each in target.elts)
            and all(_literal(each) for each in value.elts)
        ):  # A, B = 0, 1
            pairs = zip(target.elts, value.elts, strict=True)
            return [ast.copy_location(_assign(*pair), node) for pair in pairs]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return node


def _literal(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def _assign(target: ast.expr, value: ast.expr) -> ast.Assign:
    return ast.Assign(targets=[target], value=value)


class _Program:
    """What the module-level names of all modules stand for."""

    def __init__(self, modules: Mapping[str, _Module]) -> None:
        self.modules = modules
        changed = _assigned_from_outside(modules)
        for module in modules.values():
            for node in module.tree.body:
                if isinstance(node, ast.Assign) and len(assigned_names(node)) == 1:
                    name = assigned_names(node)[0]
                    once = len(module.scope.bindings[name]) == 1
                    if once and not changed & {(module.name, name), ("", name)}:
                        module.constants[name] = node.value

    def follow(self, found: Imported) -> Imported:
        """The module or module-level name that an import means."""
        if found.name is not None and f"{found.module}.{found.name}" in self.modules:
            return Imported(f"{found.module}.{found.name}", None)
        return found

    def number(self, module_name: str, name: str, depth: int = 0) -> int | None:
        """The integer that a module-level name always is, or None."""
        module = self.modules.get(module_name)
        if module is None or depth > 20:
            return None
        if name in module.constants:
            return self.value(module.constants[name], [module.scope], module_name, depth + 1)
        found = module.scope.only(name)
        if isinstance(found, Imported) and found.name is not None:
            return self.number(found.module, found.name, depth + 1)
        return None

    def meaning(self, name: str, scopes: list[Scope], module_name: str) -> Imported | None:
        """What a name read in the innermost of `scopes` means; None when it may vary."""
        inner = binder(name, scopes)
        found = (inner or scopes[0]).only(name)
        if isinstance(found, Imported):
            return self.follow(found)
        return None if inner else Imported(module_name, name)

    def value(
        self, node: ast.expr, scopes: list[Scope], module_name: str, depth: int = 0
    ) -> int | None:
        """The integer that an expression always is, or None."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        if isinstance(node, ast.Name):
            means = self.meaning(node.id, scopes, module_name)
            if means is None or means.name is None:
                return None
            return self.number(means.module, means.name, depth)
        if isinstance(node, ast.Attribute):
            if not isinstance(node.value, ast.Name):
                return None
            means = self.meaning(node.value.id, scopes, module_name)
            if means is None or means.name is not None:
                return None
            return self.number(means.module, node.attr, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
            number = self.value(node.operand, scopes, module_name, depth)
            if number is None:
                return None
            return -number if isinstance(node.op, ast.USub) else ~number
        if isinstance(node, ast.Call) and _calls(node, "const") and len(node.args) == 1:
            return self.value(node.args[0], scopes, module_name, depth)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left = self.value(node.left, scopes, module_name, depth)
            right = self.value(node.right, scopes, module_name, depth)
            return _apply(type(node.op), left, right)
        return None


def _apply(kind: type[ast.operator], left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return None
    if kind in (ast.LShift, ast.RShift) and not 0 <= right <= _SHIFT_MAX:
        return None
    if kind in (ast.FloorDiv, ast.Mod) and right == 0:
        return None
    return _BINARY[kind](left, right)


def _calls(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _assigned_from_outside(modules: Mapping[str, _Module]) -> set[tuple[str, str]]:
    """(module, name) of module-level names that something assigns as globals or attributes.

    Module "" stands for any: whose attribute it is cannot be told.
    """
    changed: set[tuple[str, str]] = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                changed.update((module.name, name) for name in node.names)
            elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                changed.add(("", node.attr))
    return changed


class _Substitution(ast.NodeTransformer):
    """Writes each known integer in the place of the name that stands for it."""

    def __init__(self, program: _Program, module: _Module) -> None:
        self.program = program
        self.module = module
        self.scopes = [module.scope]

    def _number(self, node: ast.expr) -> ast.expr | None:
        number = self.program.value(node, self.scopes, self.module.name)
        if number is None:
            return None
        literal: ast.expr = ast.Constant(abs(number))
        if number < 0:
            literal = ast.UnaryOp(ast.USub(), literal)
        return ast.copy_location(literal, node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return (self._number(node) if isinstance(node.ctx, ast.Load) else None) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        number = self._number(node) if isinstance(node.ctx, ast.Load) else None
        return number or self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp | ast.UnaryOp) -> ast.AST:
        return self._number(node) or self.generic_visit(node)

    visit_UnaryOp = visit_BinOp

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _calls(node, "const"):
            return self._number(node) or self.visit(node.args[0])
        return self.generic_visit(node)

    def _definition(self, node: ast.AST) -> ast.AST:
        """Decorators, defaults and bases belong to the scope around; the body has its own."""
        inner = Scope(node)
        for name, value in ast.iter_fields(node):
            if name == "body":
                self.scopes.append(inner)
            if isinstance(value, list):
                value[:] = [self.visit(each) for each in value]
            elif isinstance(value, ast.AST):
                setattr(node, name, self.visit(value))
            if name == "body":
                self.scopes.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _definition
