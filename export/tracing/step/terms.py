"""Terms of all steps of one trace, interned, so that equal expressions have equal indices; and the check that two steps are the same."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from snnfuse.export.tracing.nodes.refusal import refusal
from snnfuse.export.tracing.step.fx_nodes import LOOP_ADVICE
from snnfuse.export.tracing.step.step import DELAYED, OPERATION, ZERO, Term


class Terms:
    """A table that only grows; arguments come before their readers."""

    def __init__(self) -> None:
        self._each: list[Term] = []
        self._index: dict[Term, int] = {}

    def __getitem__(self, index: int) -> Term:
        return self._each[index]

    def __iter__(self) -> Iterator[Term]:
        return iter(self._each)

    def intern(self, op: str, target: Any, args: tuple[int, ...], shape: tuple[int, ...], where: str) -> int:
        """The index of a term, which is added if it is new; its parts as of `Term`."""
        term = Term(op, target, args, shape, where)
        if term not in self._index:
            self._index[term] = len(self._each)
            self._each.append(term)
        return self._index[term]

    def check_same(self, first: int, second: int, step: int) -> None:
        """The first term, of `step`, must be the second, the template; in the first step zeros may stand for what is delayed.

        Raises:
            UnsupportedError: they differ; it says where.
        """
        waiting, seen = [(first, second)], set()
        while waiting:
            pair = waiting.pop()
            if pair[0] == pair[1] or pair in seen:
                continue
            seen.add(pair)
            x, y = self[pair[0]], self[pair[1]]
            if step == 0 and x.op == ZERO and y.op == DELAYED:
                continue
            if x.op == y.op == OPERATION and x.target != y.target and x.target.name == "getitem":
                reason = f"steps {step} and 1 of the loop read different parts of {self[x.args[0]].where}"
                raise refusal(x.where, reason, "put time first, read x[t] of forward's own input in step t, and compute inside the loop")
            if replace(x, args=()) != replace(y, args=()) or len(x.args) != len(y.args):
                raise refusal("forward", f"steps {step} and 1 of its loop differ: {x.where} against {y.where}", LOOP_ADVICE)
            waiting.extend(zip(x.args, y.args, strict=True))
