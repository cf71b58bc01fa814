"""Float networks as the assertions take them: made into a Program, and run for what they say themselves. Torch and NIR load late."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.encoding import as_inputs, decoded, only_output
from snnfuse.hardware.ir.program import Program


def as_arrays(program: Program, inputs: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Inputs by the program's names, checked: finite, (time, batch, *shape), in its order."""
    arrays = as_inputs(program.inputs, inputs)
    return {name: arrays[name] for name in program.inputs}


def deploy(model: Any, calibration: ArrayLike | Mapping[str, ArrayLike], options: Mapping[str, Any]) -> Program:
    """Quantize a network.

    Args:
        model: snnTorch module, one time step per call, or NIR graph.
        calibration: float (time, batch, *shape), or {input name: such an array}.
        options: keyword arguments of `snnfuse.export.quantize`.

    Raises:
        InputError: it is neither.
        UnsupportedError: it cannot be deployed.
    """
    from snnfuse.export import quantize

    graph, _ = as_graph(model, calibration)
    return quantize(graph, calibration if isinstance(calibration, Mapping) else np.asarray(calibration), **options)


def as_graph(model: Any, inputs: ArrayLike | Mapping[str, ArrayLike]) -> tuple[Any, Any]:
    """The NIR graph of a network, and the `Form` in which a module takes time; steps and shapes of its inputs are taken from data."""
    from snnfuse.compile.settings import DEFAULTS
    from snnfuse.compile.sources import source_of
    from snnfuse.compile.tracing import trace_module

    source = source_of(model)
    if source.kind == "graph":
        return model, None
    arrays = inputs if isinstance(inputs, Mapping) else {name: inputs for name in source.inputs[:1] or ("input",)}
    missing = [name for name in source.inputs if name not in arrays]
    if missing:
        raise InputError(f"{type(model).__name__} takes {', '.join(source.inputs)}: no input {missing[0]!r} is given")
    shapes = {name: np.shape(array)[2:] for name, array in arrays.items()}
    return trace_module(model, shapes, DEFAULTS, len(np.asarray(next(iter(arrays.values())))))


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A float network that is to be compared with its program.

    Attributes:
        model: snnTorch module or NIR graph.
        graph: its NIR graph.
        form: how a module takes time; None for a graph.
        program: whose decoder reads it.
        output: which output is read.
    """

    model: Any
    graph: Any
    form: Any
    program: Program
    output: str

    @classmethod
    def of(cls, model: Any, program: Program, inputs: ArrayLike | Mapping[str, ArrayLike], output: str | None) -> "FloatNetwork":
        """Of a module or graph; InputError where it has no output of the name, or other inputs than the program."""
        graph, form = as_graph(model, inputs)
        return cls(model, graph, form, program, only_output(program, output))

    def classes(self, x: Mapping[str, NDArray]) -> NDArray[np.int64]:
        """Classes (batch,) for inputs (time, batch, *shape): by the program's decoder, ties to the lowest index."""
        if self.form is None:
            scores = decoded(self.program.outputs[self.output], self._graph_values(x))
        else:
            scores = self._model_scores(x)
        return scores.reshape(len(scores), -1).argmax(1)

    def _graph_values(self, x: Mapping[str, NDArray]) -> NDArray:
        from snnfuse.export import lower, simulate
        from snnfuse.export.lowering.outputs import output_values, reading

        network = lower(self.graph, self.program.dt)
        if self.output not in network.outputs or set(network.inputs) != set(x):
            raise InputError(f"the float graph and the program differ in inputs or outputs: the graph has no output {self.output!r}")
        network = reading(network, {self.output: self.program.outputs[self.output].reads_membrane})
        return output_values(network, simulate(network, x), self.output)

    def _model_scores(self, x: Mapping[str, NDArray]) -> NDArray:
        """By the decoder, or what forward itself returns of a window."""
        from snnfuse.compile.tracing import input_names
        from snnfuse.export.tracing.measured import run_model

        returned = run_model(self.model, {name: x[name] for name in input_names(self.model) or x}, self.form)
        positions = json.loads(self.graph.metadata["snnfuse"])["outputs"]
        if self.output not in positions:
            raise InputError(f"the float network has no output {self.output!r}; it has {', '.join(positions)}")
        position = positions[self.output]
        values = np.asarray(returned[position])
        readings = self.form.readings
        is_whole = not readings or readings[position].reduction == "steps"
        return decoded(self.program.outputs[self.output], values) if is_whole else values
