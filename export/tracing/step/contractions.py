"""Products of two values that depend on the input, as one scheme: both spread over a domain of indices, multiplied there number by
number, and summed over some of its axes.

    matmul  (.., n, k) (.., k, m)     domain (.., n, m, k), summed over k
    bmm     the same, of three axes
    einsum  "bhtd,bhte->bhde"         domain (h, d, e, t), summed over t
"""

import string
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from snnfuse.export.tracing.nodes.refusal import refusal

CONTRACTIONS = ("matmul", "bmm", "einsum")
ACROSS = ("it multiplies across the batch", "keep the first axis of both factors, and of the result, for the batch")


@dataclass(frozen=True)
class Contraction:
    """A sum of products.

    Attributes:
        name: of the operation.
        domain: lengths of its axes, without batch: those of the result, then those that are summed over.
        summed: how many of the last are.
        factors: of each of the two, the axis of the domain that each of its axes lies on; None for one of length 1 that is spread.
    """

    name: str
    domain: tuple[int, ...]
    summed: int
    factors: tuple[tuple[int | None, ...], tuple[int | None, ...]]


def _operands(node: fx.Node) -> tuple[str, list[Any]]:
    """The equation, or nothing, and what is multiplied."""
    given: list[Any] = [*node.args, *node.kwargs.values()]
    if node.meta["op"] != "einsum":
        return "", given
    rest = given[1:]
    return str(given[0]), list(rest[0]) if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest


def _depends(value: object) -> bool:
    return isinstance(value, fx.Node) and value.meta["op"] != "constant"


def multiplies_data(node: fx.Node) -> bool:
    """Whether more than one factor depends on the input, or one does so twice."""
    return sum(map(_depends, _operands(node)[1])) > 1


def data_factors(node: fx.Node) -> tuple[fx.Node, fx.Node]:
    """The two factors."""
    found = _operands(node)[1]
    if len(found) != 2 or not all(map(_depends, found)):
        raise refusal(node.meta["where"], f"it multiplies {len(found)} values at once", "multiply two at a time")
    return found[0], found[1]


def contraction(node: fx.Node, first: fx.Node, second: fx.Node) -> Contraction:
    """The scheme of a recorded product.

    Raises:
        UnsupportedError: it mixes the samples of a batch, or takes a diagonal.
    """
    where, tensors = node.meta["where"], (first.meta["value"], second.meta["value"])
    equation = _operands(node)[0]
    terms, result = _parsed(equation, tensors, where) if equation else _of_matmul(tensors, where)
    batch = terms[0][0]
    if terms[1][0] != batch or result[0] != batch or any(batch in rest[1:] for rest in (*terms, result)):
        raise refusal(where, *ACROSS)
    lengths: dict[str, int] = {}
    for labels, tensor in zip(terms, tensors, strict=True):
        for label, length in zip(labels, tensor.shape, strict=True):
            lengths[label] = max(length, lengths.get(label, 1))
    summed = [label for label in dict.fromkeys(terms[0] + terms[1]) if label not in result]
    axes = [*result[1:], *summed]
    one, other = (_placed(labels, tensor, axes, lengths) for labels, tensor in zip(terms, tensors, strict=True))
    return Contraction(node.meta["op"], tuple(lengths[a] for a in axes), len(summed), (one, other))


def _placed(labels: str, tensor: torch.Tensor, axes: list[str], lengths: dict[str, int]) -> tuple[int | None, ...]:
    """The axis of the domain behind each axis of a factor, its batch left out."""
    pairs = list(zip(labels, tensor.shape, strict=True))[1:]
    return tuple(None if length == 1 and lengths[label] > 1 else axes.index(label) for label, length in pairs)


def _of_matmul(tensors: tuple[torch.Tensor, torch.Tensor], where: str) -> tuple[tuple[str, str], str]:
    first, second = (tensor.ndim for tensor in tensors)
    if min(first, second) < 3:
        raise refusal(where, *ACROSS)
    if first != second:
        raise refusal(where, f"it broadcasts {first} axes against {second}, the batch among them", "give both the same number of axes")
    outer = string.ascii_lowercase[: first - 2]
    return (f"{outer}XZ", f"{outer}ZY"), f"{outer}XY"


def _parsed(equation: str, tensors: tuple[torch.Tensor, torch.Tensor], where: str) -> tuple[tuple[str, str], str]:
    """An einsum's labels, dots written out."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    dots = max(tensor.ndim - len(term.replace("...", "")) for term, tensor in zip(terms, tensors, strict=True))
    unused = [c for c in string.ascii_letters if c not in text][:dots] if "..." in text else []

    def written(term: str, count: int) -> str:
        return term.replace("...", "".join(unused[len(unused) - count :]) if count else "")

    found = [written(term, tensor.ndim - len(term.replace("...", ""))) for term, tensor in zip(terms, tensors, strict=True)]
    if any(len(set(term)) < len(term) for term in found):
        raise refusal(where, f"einsum {equation!r} takes a diagonal", "write every label once in each factor")
    once = sorted(label for label in set("".join(found)) if "".join(found).count(label) == 1 and label not in unused)
    return (found[0], found[1]), written(right, len(unused)) if arrow else "".join([*unused, *once])
