"""What can be compiled: each kind of source with its way to float graphs and to integers, registered by file suffix or type of model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.compile.integers import Integers, from_floats
from snnfuse.compile.settings import Settings, Shapes
from snnfuse.compile.tracing import input_names, trace_module, with_effects
from snnfuse.data.samples import Samples
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.export.targets import Target
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.pipeline import as_pipeline
from snnfuse.hardware.ledger import to_json
from snnfuse.hardware.reading import check_regular, reading

if TYPE_CHECKING:
    import nir
    from torch import nn

    from snnfuse.nn import FixedPointNetwork, SigmaDeltaNetwork

CHECKPOINTS = (".pt", ".pth", ".ckpt")
Floats = Callable[[Samples | None, Settings], StagedGraph]
MakeIntegers = Callable[[StagedGraph | None, Samples | None, Settings, Target], Integers]


@dataclass(frozen=True, eq=False)
class Source:
    """What can be compiled.

    Attributes:
        name: for messages.
        kind: "checkpoint", "stages", "trained", "sigma-delta", "graph", "netx" or one of your own; `snnfuse.commands.export_options` says
            by kind what options mean.
        inputs: the names of its inputs; () where only its integers tell, or it takes as many as there are.
        integers: makes its programs of the float network, samples, settings and target.
        floats: makes the float network, one graph or a graph per stage, of samples, which may be None, and settings; None where it came as
            integers.
        is_ours: whether it is a network of ours, whose checkpoint may name the data that it was trained on.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    integers: MakeIntegers
    floats: Floats | None = None
    is_ours: bool = False


def of_graph(graph: "nir.NIRGraph") -> Source:
    """A float graph, as it is; InputError where it has no Input or no Output, before samples are held to its inputs."""
    from snnfuse.export.lowering.nir_to_network import check_has_ends

    check_has_ends(graph.inputs, graph.outputs)
    return Source("the graph", "graph", tuple(graph.inputs), from_floats, lambda samples, settings: StagedGraph((graph,)))


def of_model(model: "nn.Module") -> Source:
    """A snnTorch model, which is traced; where there are samples, with the measured effect of what tracing changed."""
    names = input_names(model)

    def floats(samples: Samples | None, settings: Settings) -> StagedGraph:
        shapes, steps = shapes_of(names, model, samples, settings), None if samples is None else samples.steps
        graph, form = trace_module(model, shapes, settings, steps)
        return StagedGraph((graph if samples is None else with_effects(model, graph, samples, form),))

    return Source(type(model).__name__, "checkpoint", names, _of_traced, floats, _is_ours(model))


def of_stages(model: Any) -> Source:
    """A network of ours in stages, each of which is traced."""

    def floats(samples: Samples | None, settings: Settings) -> StagedGraph:
        from snnfuse.compile.staged_sources import DT, trace_stages

        return trace_stages(model, shapes_of(model.inputs, model, samples, settings), settings.dt or DT)

    return Source(type(model).__name__, "stages", tuple(model.inputs), _of_traced, floats, _is_ours(model))


def _of_traced(floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
    return from_floats(floats, samples, settings.of_traced, target)


def of_trained(net: "FixedPointNetwork") -> Source:
    """A network that was trained in the chip's arithmetic: the integers that its forward uses, beside the graph that it started from."""

    def integers(floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        from snnfuse.nn.measured import measured_program

        assert samples is not None
        return Integers(as_pipeline(measured_program(net, samples.inputs)), (net.graph,), samples, floats=floats)

    return Source("the network", "trained", net.inputs, integers, lambda samples, settings: StagedGraph((net.graph,)), is_ours=True)


def of_sigma_delta(net: "SigmaDeltaNetwork") -> Source:
    """A ReLU network on sigma-delta neurons: integers for the samples, which calibrate it."""

    def integers(floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        if samples is None:
            raise InputError("a ReLU network is calibrated on frames (time, batch, *shape): give samples (--calib)")
        program = net.program(next(iter(samples.inputs.values())))
        return Integers(as_pipeline(program), (None,), samples.named(tuple(program.inputs)))

    return Source("the network", "sigma-delta", (), integers)


def of_net(path: Path) -> Source:
    """A netx file of lava-dl's, which holds integers: samples make golden vectors only, and without any random inputs do."""

    def integers(floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        from snnfuse.compile.random_inputs import random_inputs
        from snnfuse.export.netx import open_net, sample_steps

        shape = None if settings.shapes is None else settings.shapes["input"]
        program, differences = open_net(path, dt=settings.dt, input_shape=shape, **settings.net)
        steps = settings.net.get("reset_interval") or sample_steps(path)
        given = random_inputs(program.inputs, steps) if samples is None else samples.named(tuple(program.inputs))
        return Integers(as_pipeline(program), (None,), given, report={"netx_differences": to_json(differences)})

    return Source(str(path), "netx", (), integers)


def _is_ours(model: "nn.Module") -> bool:
    from snnfuse.networks import describe

    return describe(model) is not None


def shapes_of(names: tuple[str, ...], model: "nn.Module", samples: Samples | None, settings: Settings) -> Shapes:
    """Of every input in one step; InputError where nothing tells them, or as of `check_shapes`."""
    shapes = samples.shapes if samples is not None else settings.shapes or {}
    missing = [name for name in names if name not in shapes]
    if missing:
        raise InputError(f"the shape of input {missing[0]!r} is not known: give samples, or shapes={{{missing[0]!r}: (28, 28)}}")
    check_shapes(model, shapes)
    return shapes


def check_shapes(model: "nn.Module", shapes: Shapes) -> None:
    """InputError for shapes of inputs, in one step, that a network of ours was not made for: its convolutions would take them all."""
    for name, shape in shapes.items():
        declared = getattr(getattr(model, "config", None), name, None)
        sizes = (declared,) if isinstance(declared, int) else declared
        if isinstance(sizes, (tuple, list)) and all(isinstance(size, int) for size in sizes) and tuple(sizes) != tuple(shape):
            raise InputError(f"input {name!r} has shape {tuple(shape)} in one step, but the network was made for {tuple(sizes)}")


@dataclass(frozen=True)
class Opening:
    """How a file is opened: arguments of `snnfuse.load_checkpoint`."""

    model: "str | Callable[[], nn.Module] | None" = None
    allow_pickle: bool = False


FILES: dict[str, Callable[[Path, Opening], Source]] = {}
"""What opens a file, by its suffix."""
MODELS: list[tuple[Callable[[Any], bool], Callable[[Any], Source]]] = []
"""What makes a source of a model or graph in memory; the first whose test says so does."""


def register_file(suffix: str, open_file: Callable[[Path, Opening], Source]) -> None:
    """Let files of a suffix, as ".net", be opened by a function of a path and an `Opening`."""
    FILES[suffix] = open_file


def register_model(matches: Callable[[Any], bool], make: Callable[[Any], Source]) -> None:
    """Let `make` make sources of the models for which `matches` says so; what is registered later is asked first."""
    MODELS.insert(0, (matches, make))


def open_source(path: str | Path, *, model: "str | Callable[[], nn.Module] | None" = None, allow_pickle: bool = False) -> Source:
    """A source from a file: a checkpoint, a .nir or a .net file, or of a suffix that was registered; or from `package.module:factory` or
    `path/file.py:factory`, a network with the weights that it is made with.

    Args and errors: as `snnfuse.load_checkpoint` and `snnfuse.export.lowering.nir_file.read_graph`; InputError for another suffix.
    """
    if ":" in str(path):
        from snnfuse.checkpoints.user_model import call_factory, names_factory

        if names_factory(str(path)):
            return source_of(call_factory(str(path)))
    path = Path(path)
    if path.suffix not in FILES:
        known = f"a checkpoint ({', '.join(CHECKPOINTS)}), a NIR graph (.nir), a netx file (.net) or file.py:factory"
        raise InputError(f"{path}: a model is {known}")
    check_regular(path)
    with reading(path):
        return FILES[path.suffix](path, Opening(model, allow_pickle))


def source_of(model: Any) -> Source:
    """The source of a model or graph in memory; InputError for what none can be made of."""
    for matches, make in MODELS:
        if matches(model):
            return make(model)
    raise InputError(f"a {type(model).__name__} is no Program, NIR graph or torch module")


def _open_checkpoint(path: Path, opening: Opening) -> Source:
    from snnfuse.checkpoints.checkpoint import load_checkpoint

    return source_of(load_checkpoint(path, model=opening.model, allow_pickle=opening.allow_pickle))


def _open_graph(path: Path, opening: Opening) -> Source:
    from snnfuse.export.lowering.nir_file import read_graph

    return of_graph(read_graph(path))


def _is_module(kind: str, model: Any) -> bool:
    """Whether it is a torch module of a kind of ours, which are imported for modules only."""
    if not hasattr(model, "forward"):
        return False
    from snnfuse.networks import Staged
    from snnfuse.nn import FixedPointNetwork, SigmaDeltaNetwork

    return isinstance(model, {"stages": Staged, "trained": FixedPointNetwork, "sigma-delta": SigmaDeltaNetwork}[kind])


register_model(lambda model: hasattr(model, "forward"), of_model)
register_model(lambda model: hasattr(model, "nodes") and hasattr(model, "edges"), of_graph)
register_model(partial(_is_module, "stages"), of_stages)
register_model(partial(_is_module, "trained"), of_trained)
register_model(partial(_is_module, "sigma-delta"), of_sigma_delta)
register_file(".nir", _open_graph)
register_file(".net", lambda path, _: of_net(path))
for _suffix in CHECKPOINTS:
    register_file(_suffix, _open_checkpoint)
