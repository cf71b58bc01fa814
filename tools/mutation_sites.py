"""What can be changed in a module, one operator, value or name at a time, and how a change takes the module's place."""

import ast
import copy
import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd,
}  # fmt: skip
UNSEEN = ("copy", "maxsize", "sparse", "strict")
"""Arguments that change no result: what is copied, kept or written out for speed, and a check of zip against a fault of our own. Nor does
another negative number than -1 in a reshape: each stands for the size that is left."""
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Site:
    """Something that can be changed.

    Attributes:
        file: from the root.
        index, place: among all nodes of its tree, and among the node's operators.
        lines: of the statement that it stands in.
        function: that encloses it; empty for what runs on import.
        what: before -> after.
    """

    file: str
    index: int
    place: int
    lines: tuple[int, ...]
    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.lines[0]} {self.function or '(module)'}: {self.what}"

    @property
    def name(self) -> str:
        """Names it whatever lines stand above."""
        return f"{self.function}: {self.what}"


def sites(file: str, tree: ast.Module) -> Iterator[Site]:
    """Everything of a file that can be changed and might change a result: not messages, annotations and types, nor `UNSEEN` arguments."""
    index = {node: number for number, node in enumerate(ast.walk(tree))}
    seen: Counter[str] = Counter()
    waiting: list[tuple[ast.AST, tuple[int, ...], str, str]] = [(tree, (), "", "")]
    left = {size for node in index for size in _sizes_left(node)}
    while waiting:
        node, lines, outer, function = waiting.pop()
        if isinstance(node, ast.JoinedStr) or node in left or _is_unseen(node, function):
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            outer = f"{outer}.{node.name}" if outer else node.name
            inside = isinstance(node, ast.FunctionDef) or bool(function)
            body = {id(inner) for inner in node.body}
            parts = [part for part in ast.iter_child_nodes(node) if part is not getattr(node, "returns", None)]
            waiting += [(inner, lines, outer, outer if inside and id(inner) in body else function) for inner in parts]
            continue
        if isinstance(node, ast.stmt):
            end = node.body[0].lineno - 1 if isinstance(node, (ast.If, ast.For, ast.While, ast.With)) else node.end_lineno or node.lineno
            lines = tuple(range(node.lineno, max(end, node.lineno) + 1))
        inside = [node.target, *filter(None, [node.value])] if isinstance(node, ast.AnnAssign) else ast.iter_child_nodes(node)
        waiting += [(inner, lines, outer, function) for inner in inside]
        for place in range(_choices(node)):
            changed = copy.deepcopy(node)
            _change(changed, place)
            what = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            seen[f"{function}: {what}"] += 1
            what += f" ({seen[f'{function}: {what}']})" if seen[f"{function}: {what}"] > 1 else ""
            yield Site(file, index[node], place, lines or (getattr(node, "lineno", 1),), function, what)


def _sizes_left(node: ast.AST) -> list[ast.AST]:
    """The numbers of a negative size, in a call of reshape."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "reshape":
        return []
    return [each.operand for each in node.args if isinstance(each, ast.UnaryOp) and isinstance(each.op, ast.USub)]


def _is_unseen(node: ast.AST, function: str) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in UNSEEN
    is_union = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and not function  # of types, where no function runs
    return is_union or isinstance(node, ast.arg)


def _choices(node: ast.AST) -> int:
    """In how many places a node itself can be changed."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.AugAssign)):
        return int(type(node.op) in OPERATORS)
    if isinstance(node, ast.Compare):
        return len(node.ops) if all(type(operator) in OPERATORS for operator in node.ops) else 0
    if isinstance(node, ast.Constant):
        return int(type(node.value) in (int, float, bool))
    return int(isinstance(node, ast.Name) and node.id in NAMES or isinstance(node, ast.Attribute) and node.attr in NAMES)


def _change(node: Any, place: int) -> None:
    if isinstance(node, ast.Constant):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.Compare):
        node.ops[place] = OPERATORS[type(node.ops[place])]()
    elif isinstance(node, ast.Name):
        node.id = NAMES[node.id]
    elif isinstance(node, ast.Attribute):
        node.attr = NAMES[node.attr]
    else:
        node.op = OPERATORS[type(node.op)]()


def mutant(site: Site) -> CodeType:
    """Compile a file with one change, its lines where they were."""
    tree = ast.parse((ROOT / site.file).read_text())
    _change(list(ast.walk(tree))[site.index], site.place)
    return compile(tree, str(ROOT / site.file), "exec", dont_inherit=True)


def replace(file: str, code: CodeType) -> None:
    """Import this code in place of the file's."""
    real = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        return code if Path(self.path) == ROOT / file else real(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def functions_of(files: Iterable[str]) -> dict[str, list[FunctionType]]:
    """Every function that was made of these files."""
    found: dict[str, list[FunctionType]] = {file: [] for file in files}
    by_path = {str(ROOT / file): made for file, made in found.items()}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in by_path:
            by_path[each.__code__.co_filename].append(each)
    return found


def patch(site: Site, functions: Iterable[FunctionType]) -> None:
    """Give the functions of a module the changed code."""
    changed = {(code.co_name, code.co_firstlineno): code for code in _codes(mutant(site))}
    for found in functions:
        code = changed.get((found.__code__.co_name, found.__code__.co_firstlineno))
        if code is not None:
            found.__code__ = code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)
