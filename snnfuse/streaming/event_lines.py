"""Events as text: a line of JSON per time step.

[3, 17]                                  neurons that spike, counted in C order; an input that is the only one
{"ears": [3, 17], "eyes": []}            by input; one that is missing is silent
[[3, -120], [17, 44]]                    neurons and their graded spikes
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Input
from snnfuse.hardware.limits import check_limit, limit
from snnfuse.hardware.reading import parse_json


def whole_lines(file: BinaryIO, source: str) -> Iterator[bytes]:
    """Yield the lines of a stream; UnsafeFileError for one that is longer than the limit on JSON, whose end is not waited for."""
    longest = limit("json-bytes")
    while line := file.readline(longest + 1):
        check_limit("json-bytes", len(line), source)
        yield line


def event_lines(lines: Iterable[bytes], inputs: Mapping[str, Input], source: str = "-") -> Iterator[dict[str, NDArray[np.int32]]]:
    """Yield steps of events, int32 (*shape) by input, from lines of JSON in UTF-8; empty lines are none.

    Raises:
        InputError: names the line and what is wrong in it.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{source}, line {number}"
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{where}: byte {error.start + 1} is no UTF-8 text") from error
            content = parse_json(line, where)
            try:
                yield _step(content, inputs)
            except InputError as error:
                raise InputError(f"{where}: {error}") from error


def _step(content: Any, inputs: Mapping[str, Input]) -> dict[str, NDArray[np.int32]]:
    if isinstance(content, list) and len(inputs) == 1:
        content = {next(iter(inputs)): content}
    if not isinstance(content, dict) or not all(isinstance(events, list) for events in content.values()):
        raise InputError(f"a step is a list of events by input, {', '.join(map(repr, inputs))}")
    unknown = [name for name in content if name not in inputs]
    if unknown:
        raise InputError(f"no input {unknown[0][:80]!r}; there are {', '.join(inputs)}")
    return {name: _events(content.get(name, []), name, node) for name, node in inputs.items()}


def _events(listed: list, name: str, node: Input) -> NDArray[np.int32]:
    size, (low, high) = node.size, node.payloads
    values = np.zeros(size, np.int32)
    for event in listed:
        neuron, payload = event if isinstance(event, list) and len(event) == 2 else (event, 1)
        if type(neuron) is not int or type(payload) is not int:
            raise InputError(f"input {name!r}: an event is a neuron or [neuron, payload], whole numbers, not {json.dumps(event)[:40]}")
        if not 0 <= neuron < size:
            raise InputError(f"input {name!r}: neuron {neuron} is outside 0..{size - 1}")
        if not low <= payload <= high:
            raise InputError(f"input {name!r}: payload {payload} is outside {low}..{high}")
        values[neuron] = payload
    return values.reshape(node.shape)
