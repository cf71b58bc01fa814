"""The main job, each step a call: open a model, make its graph, compile it, measure it, write the bundle."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware import Program, Recording, emulate, scores
from snnfuse.hardware.chip import Resources, check_chip
from snnfuse.hardware.encoding import reduce_window
from snnfuse.hardware.errors import InputError, SnnfuseError, UnsupportedError
from snnfuse.hardware.ledger import Ledger
from snnfuse.samples import Samples

if TYPE_CHECKING:
    import nir
    from torch import Tensor, nn

    from snnfuse.export.bundle import Bundle
    from snnfuse.export.quantization import WeightBits
    from snnfuse.nn import FixedPointNetwork

CHECKPOINTS = (".pt", ".pth", ".ckpt")
GOLDEN_SAMPLES = 32
PARETO = "pareto.svg"
FAST_S = 5.0  # seconds that a search for overflows may take by default


@dataclass(frozen=True, eq=False)
class Graph:
    """A float graph and what changed on the way to it."""

    nir: "nir.NIRGraph"
    ledger: Ledger


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program, and what is known about it.

    Attributes:
        graph: what it was made from; None where that was integers.
        program: the integers.
        target: "loihi2", "lava" or "netx".
        resources: what it takes of a board; None for other targets than loihi2.
        events, golden: encoded inputs, and what the program makes of them, every layer.
        report: JSON-able figures.
        files: what else the bundle holds, by name.
    """

    graph: Graph | None
    program: Program
    target: str
    resources: Resources | None
    events: dict[str, NDArray[np.int32]]
    golden: Recording
    report: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


def open_model(
    path: str | Path, *, model: str | Callable[[], "nn.Module"] | None = None, allow_pickle: bool = False
) -> "nn.Module | nir.NIRGraph":
    """A torch module from a checkpoint, or a graph from a .nir file.

    Args and errors: as `snnfuse.load_checkpoint` and `snnfuse.export.graph_file.read_graph`.
    """
    path = Path(path)
    if path.suffix == ".nir":
        from snnfuse.export.graph_file import read_graph

        return read_graph(path)
    if path.suffix not in CHECKPOINTS:
        raise InputError(f"{path}: a model is a checkpoint ({', '.join(CHECKPOINTS)}), a NIR graph (.nir) or a netx file (.net)")
    from snnfuse.checkpoint import load_checkpoint

    return load_checkpoint(path, model=model, allow_pickle=allow_pickle)


def is_fixed_point(source: "nn.Module | nir.NIRGraph") -> bool:
    """Whether it is a network in the chip's arithmetic, whose integers are chosen."""
    if is_graph(source):
        return False
    from snnfuse.nn import FixedPointNetwork

    return isinstance(source, FixedPointNetwork)


def is_graph(source: "nn.Module | nir.NIRGraph") -> bool:
    """Whether it is a float graph already, not a torch module."""
    import nir

    return isinstance(source, nir.NIRGraph)


def input_names(source: "nn.Module | nir.NIRGraph") -> tuple[str, ...]:
    """The names under which a model or graph takes its inputs: what forward requires, but for the model's own `inputs`."""
    import nir

    if is_graph(source):
        return tuple(name for name, node in source.nodes.items() if isinstance(node, nir.Input))
    if hasattr(source, "inputs"):
        return tuple(source.inputs)
    parameters = inspect.signature(source.forward).parameters.values()
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def make_graph(
    source: "nn.Module | nir.NIRGraph",
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dt: float | None = None,
    steps: int | None = None,
) -> Graph:
    """The float graph of a model; a graph stays as it is.

    Args:
        source: what `open_model` gave.
        shapes: of one time step of one sample, by input name.
        dt: seconds per step; None: 1e-4.
        steps: for a model whose forward loops over time itself, how many time steps to give it; None for one step per call.
    """
    if is_graph(source):
        return Graph(source, ())
    if is_fixed_point(source):
        return Graph(source.graph, ())
    from snnfuse.export import trace_model

    lead = (1,) if steps is None else (steps, 1)
    sample = tuple(_zeros(name, (*lead, *shapes[name])) for name in input_names(source))
    given = {} if dt is None else {"dt": dt}
    try:
        traced = Graph(*trace_model(source, sample, **given))
        if steps is not None:
            _check_loops(traced.nir, shapes)
        return traced
    except SnnfuseError as error:
        if steps is None or not _is_traceable(source, tuple(x[0] for x in sample)):
            raise
        raise type(error)(f"{error}; it can be traced without --time-steps, so leave that out") from error


def _check_loops(graph: "nir.NIRGraph", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A forward that does not index time takes all time steps for one sample with one more axis."""
    for name, node in graph.inputs.items():
        if name in shapes and tuple(int(n) for n in node.input_type["input"]) != tuple(shapes[name]):
            raise UnsupportedError(f"input {name!r}: forward reads all time steps as one sample; loop over x[t] inside it")


def _zeros(name: str, shape: tuple[int, ...]) -> "Tensor":
    import torch

    try:
        return torch.zeros(shape)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(f"input {name!r} of shape {shape[1:]} is too large for this machine's memory") from error


def _is_traceable(model: "nn.Module", sample: "tuple[Tensor, ...]") -> bool:
    from snnfuse.export import trace_model

    try:
        trace_model(model, sample)
    except SnnfuseError:
        return False
    return True


def check_shapes(source: "nn.Module | nir.NIRGraph", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse inputs of another shape than a network of ours was made for: its convolutions would take them all the same.

    Raises:
        InputError: names the input and both shapes.
    """
    config = getattr(source, "config", None)
    for name, shape in shapes.items():
        declared = getattr(config, name, None)
        sizes = (declared,) if isinstance(declared, int) else declared
        if isinstance(sizes, (tuple, list)) and all(isinstance(size, int) for size in sizes) and tuple(sizes) != tuple(shape):
            raise InputError(f"input {name!r} has shape {tuple(shape)} in one step, but the network was made for {tuple(sizes)}")


def measure_graph(source: "nn.Module | nir.NIRGraph", graph: Graph, samples: Samples, *, unrolled: bool = False) -> Graph:
    """The graph with the measured effect of what tracing changed in its ledger; a foreign graph stays as it is.

    Args:
        source: the model.
        graph: what `make_graph` made of it.
        samples: the first of them are run through both.
        unrolled: whether the model's forward loops over time itself.
    """
    if is_graph(source) or not graph.ledger:
        return graph
    from snnfuse.export.tracing.measured import measured_ledger

    return Graph(*measured_ledger(source, graph.nir, graph.ledger, samples.select(slice(GOLDEN_SAMPLES)).inputs, unrolled))


def compile_program(
    graph: Graph,
    samples: Samples,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    weight_bits: "WeightBits" = 8,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
) -> Compiled:
    """Integers for a graph, checked against the target and measured on the samples that calibrated them.

    Args:
        graph: the float graph.
        samples: calibration inputs; the first ones become the golden vectors.
        target: "loihi2", checked against the chip's limits, "lava" or "netx".
        dt, reset, weight_bits, input_bits, max_groups: as for `snnfuse.export.quantize`.
        board: as for `snnfuse.hardware.chip.check_chip`.

    Raises:
        UnsupportedError, DoesNotFitError, InputError: as those do; InputError for labels that are none of the output's classes.
    """
    from snnfuse.export.quantization import quantize_measured

    settings = {"weight_bits": weight_bits, "input_bits": input_bits, "max_groups": max_groups}
    found = quantize_measured(graph.nir, samples.inputs, dt=dt, reset=reset, **settings)
    compiled = _compiled(graph, found.program, samples, target, board)
    more = {"layers": [asdict(layer) for layer in found.layers], "warnings": list(found.warnings)}
    return replace(compiled, report=compiled.report | more)


def search_program(
    graph: Graph,
    samples: Samples,
    max_drop: float,
    *,
    target: str = "loihi2",
    dt: float | None = None,
    reset: str | None = None,
    input_bits: int = 12,
    max_groups: int = 2,
    board: str = "oheo-gulch",
    cluster: str | None = None,
) -> Compiled:
    """The cheapest program within an accuracy drop; `snnfuse.export.bit_widths` says how, the report what was tried.

    Args:
        graph, samples: as for `compile_program`; without labels the float network's classes take their place.
        max_drop: percentage points.
        target, dt, reset, input_bits, max_groups, board: as for `compile_program`.
        cluster: a ray cluster that fits run on, as for `snnfuse.hardware.emulate_on_cluster`; None: this process, with the same result.
    """
    from snnfuse.export.bit_widths import in_turn, search
    from snnfuse.export.search_on_cluster import on_cluster
    from snnfuse.pareto import draw, to_json

    mapper = in_turn if cluster is None else on_cluster(cluster)
    settings = {"dt": dt, "reset": reset, "input_bits": input_bits, "max_groups": max_groups, "board": board}
    found = search(graph.nir, samples.inputs, samples.labels, max_drop, mapper=mapper, **settings)
    compiled = _compiled(graph, found.quantized.program, samples, target, board)
    more = {"layers": [asdict(layer) for layer in found.quantized.layers], "warnings": list(found.quantized.warnings)}
    files = {PARETO: draw(found, max_drop)}
    return replace(compiled, report=compiled.report | more | {"search": to_json(found, max_drop)}, files=files)


def with_proof(compiled: Compiled, effort: str) -> Compiled:
    """The same with the overflow proof in its report, as rows of `snnfuse.hardware.overflow.to_json`.

    Args:
        compiled: what may run; on the calibration data it is known not to wrap.
        effort: "fast", bounds and `FAST_S` seconds of search for witnesses; "full", as long as that search takes; "off", no proof.
    """
    if effort == "off":
        return compiled
    from snnfuse.hardware.overflow import prove, to_json

    verdicts = prove(compiled.program, seconds=FAST_S if effort == "fast" else None)
    return replace(compiled, report=compiled.report | {"overflow": to_json(verdicts)})


def compile_trained(net: "FixedPointNetwork", samples: Samples, *, target: str = "loihi2", board: str = "oheo-gulch") -> Compiled:
    """The program of a network that was trained in the chip's arithmetic: the integers that its forward uses.

    Args:
        net: as `open_model` gives it; the graph it started from is the float one that it is compared with.
        samples: inputs on which agreement is measured; the first ones become the golden vectors.
        target, board: as for `compile_program`.

    Raises:
        UnsupportedError, DoesNotFitError, InputError: as of `compile_program`.
    """
    from snnfuse.nn.measured import measured_program

    return _compiled(Graph(net.graph, ()), measured_program(net, samples.inputs), samples, target, board)


def _compiled(graph: Graph, program: Program, samples: Samples, target: str, board: str) -> Compiled:
    check_labels(program, samples)
    resources = check_chip(program, board) if target == "loihi2" else None
    events = program.encode(samples.select(slice(GOLDEN_SAMPLES)).inputs)
    golden = emulate(program, events, record="all")
    return with_energy(Compiled(graph, program, target, resources, events, golden, report(graph, program, samples)))


def with_energy(compiled: Compiled) -> Compiled:
    """The same with energy and time of an inference in its report, modelled from the golden vectors, where it was placed on a board."""
    if compiled.resources is None:
        return compiled
    from snnfuse.hardware.energy import energy_of

    found = energy_of(compiled.program, [compiled.golden], compiled.resources.board)
    return replace(compiled, report=compiled.report | {"energy": found.to_json()})


def report(graph: Graph, program: Program, samples: Samples) -> dict[str, Any]:
    """What calibrated a program and, where the samples have labels and it has one output, its accuracy on them."""
    about = {"source": samples.source, "samples": len(samples), "time_steps": next(iter(samples.inputs.values())).shape[0]}
    if samples.labels is None or len(program.outputs) != 1:
        return {"calibration": about}
    figures = {
        "decoder": describe_decoder(program),
        "samples": len(samples),
        "float": float_accuracy(graph, program, samples),
        "program": program_accuracy(program, emulate(program, program.encode(samples.inputs)), samples),
    }
    return {"calibration": about, "calibration_accuracy": figures}


def float_accuracy(graph: Graph, program: Program, samples: Samples) -> float:
    """Of the float graph, in [0, 1], read by the program's decoder."""
    from snnfuse.export import lower, simulate

    run = simulate(lower(graph.nir, program.dt), samples.inputs)
    (output,) = program.outputs.values()
    values = run.spikes if output.decoder == "spike_count" else run.v
    return accuracy(reduce_window(output.decoder, values[output.node]), samples)


def check_labels(program: Program, samples: Samples) -> None:
    """InputError for a label that is no class of the only output."""
    if len(program.outputs) == 1:
        (output,) = program.outputs.values()
        samples.check_labels(math.prod(program.nodes[output.node].shape))


def program_accuracy(program: Program, recording: Recording, samples: Samples) -> float:
    """Of a recording of the program, in [0, 1]."""
    return accuracy(scores(program, recording), samples)


def accuracy(values: NDArray, samples: Samples) -> float:
    """Share of samples whose highest of `values` (batch, *shape), ties to the lowest index, is their label."""
    return float((values.reshape(len(values), -1).argmax(1) == samples.labels).mean())


def describe_decoder(program: Program) -> str:
    """How classes are read, in words."""
    (output,) = program.outputs.values()
    return f"{output.decoder.replace('_', ' ')}, ties to the lowest index"


def save_compiled(path: str | Path, compiled: Compiled, *, force: bool = False) -> "Bundle":
    """Write a bundle; errors as of `snnfuse.export.write_bundle`."""
    from snnfuse.export import write_bundle

    return write_bundle(
        path,
        graph=compiled.graph.nir if compiled.graph else None,
        program=compiled.program,
        events=compiled.events,
        golden=compiled.golden,
        target=compiled.target,
        resources=compiled.resources,
        report=compiled.report,
        files=compiled.files,
        force=force,
    )
