"""Runs the pseudo-code of `snnfuse.hardware.backends.microcode` on plain integers, one neuron and step at a time."""

import re
from collections.abc import Mapping, Sequence


def run(lines: Sequence[str], values: Mapping[str, int], states: Mapping[str, int], inputs: Sequence[int]) -> tuple[int, dict[str, int]]:
    """Return what a neuron sends, 0 for nothing, and its states after the step.

    Args:
        values: parameters by name.
        states: before the step, by name.
        inputs: by port.
    """
    registers: dict[str, int] = {}
    places: dict[str, str] = {}
    sent, skip = 0, 0

    def value(word: str) -> int:
        if word in registers:
            return registers[word]
        if word.startswith("{"):
            return int(eval(word.strip("{}"), {}, dict(values)))  # noqa: S307 - the text is this package's own
        return int(word)

    for line in lines:
        if skip:
            skip -= 1
            continue
        operation, *words = re.findall(r"\{[^}]*\}|[^\s]+", line.split("#")[0])
        target, arguments = (words[0] if words else ""), [word for word in words[1:]]
        if operation == "RDC":
            registers[target] = inputs[int(arguments[0])]
        elif operation == "RMW":
            registers[target], places[target] = states[arguments[0]], arguments[0]
        elif operation == "SKP_C":
            skip = value(arguments[0]) if value(target) else 0
        elif operation == "SPIKE":
            sent = value(target) if target else 1
        else:
            registers[target] = OPERATIONS[operation](*map(value, arguments))
    return sent, {name: registers[register] for register, name in places.items()}


OPERATIONS = {
    "MOV": lambda a: a,
    "SEL": lambda c, a, b: a if c else b,
    "ADD": lambda a, b: a + b,
    "NEG": lambda a: -a,
    "MIN": min,
    "MUL_SHR": lambda a, b, n: (a * b) >> n,
    "SHL": lambda a, n: ((a << n) + (1 << 31)) % (1 << 32) - (1 << 31),
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "LT": lambda a, b: int(a < b),
    "GE": lambda a, b: int(a >= b),
    "EQ": lambda a, b: int(a == b),
}
