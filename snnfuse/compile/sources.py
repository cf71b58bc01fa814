"""What can be compiled: each kind of source with its way to float graphs or to integers, registered by file suffix or type of model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from snnfuse.compile.integers import Integers, from_floats
from snnfuse.compile.settings import Settings, Shapes
from snnfuse.compile.tracing import input_names, trace_module, with_effects
from snnfuse.data.samples import Samples, random_spikes
from snnfuse.export.staging.staged import StagedGraph
from snnfuse.export.targets import Target
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.pipeline import as_pipeline
from snnfuse.hardware.ledger import to_json

if TYPE_CHECKING:
    import nir
    from torch import nn

    from snnfuse.networks import Staged
    from snnfuse.nn import FixedPointNetwork

CHECKPOINTS = (".pt", ".pth", ".ckpt")


@runtime_checkable
class Source(Protocol):
    """What can be compiled.

    Attributes:
        kind: names it in `snnfuse.commands.export_options`, the table of what options mean.
        inputs: the names of its inputs; () where only its integers tell.
    """

    kind: ClassVar[str]

    @property
    def inputs(self) -> tuple[str, ...]: ...

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        """The float network, one graph or a graph per stage.

        Raises:
            UnsupportedError: it has none, or something in it cannot be kept.
            InputError: shapes or samples do not fit.
        """
        ...

    def integers(self, floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        """Its programs; `floats` as of `floats`, None where it `is_integer`."""
        ...

    @property
    def is_integer(self) -> bool:
        """Whether it came as integers, of which there is no float network."""
        ...

    @property
    def is_ours(self) -> bool:
        """Whether it is a network of ours, whose checkpoint may name the data that it was trained on."""
        ...


@dataclass(frozen=True, eq=False)
class _FromFloats:
    is_integer: ClassVar[bool] = False
    is_traced: ClassVar[bool] = True

    @property
    def is_ours(self) -> bool:
        from snnfuse.networks import describe

        model = getattr(self, "model", None)
        return model is not None and describe(model) is not None

    def integers(self, floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        assert floats is not None and samples is not None
        return from_floats(floats, samples, settings.of_traced if self.is_traced else settings, target)


@dataclass(frozen=True, eq=False)
class ModelSource(_FromFloats):
    """A snnTorch model, which is traced."""

    model: "nn.Module"
    kind: ClassVar[str] = "checkpoint"

    @property
    def inputs(self) -> tuple[str, ...]:
        return input_names(self.model)

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        """Its graph, with the measured effect of what tracing changed where there are samples."""
        graph = trace_module(self.model, shapes_of(self, samples, settings), settings.dt, settings.time_steps)
        return StagedGraph((graph if samples is None else with_effects(self.model, graph, samples, settings.time_steps is not None),))


@dataclass(frozen=True, eq=False)
class StagedSource(_FromFloats):
    """A network of ours in stages, each of which is traced."""

    model: "Staged"
    kind: ClassVar[str] = "stages"

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.model.inputs)

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        from snnfuse.compile.staged_sources import DT, trace_stages

        return trace_stages(self.model, shapes_of(self, samples, settings), settings.dt or DT)


@dataclass(frozen=True, eq=False)
class GraphSource(_FromFloats):
    """A float graph, of a .nir file or made in memory."""

    graph: "nir.NIRGraph"
    kind: ClassVar[str] = "graph"
    is_traced: ClassVar[bool] = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.graph.inputs)

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        return StagedGraph((self.graph,))


@dataclass(frozen=True, eq=False)
class TrainedSource:
    """A network that was trained in the chip's arithmetic: the integers that its forward uses."""

    net: "FixedPointNetwork"
    kind: ClassVar[str] = "trained"
    is_integer: ClassVar[bool] = False
    is_ours: ClassVar[bool] = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.net.inputs

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        """The graph that it started from, with which it is compared."""
        return StagedGraph((self.net.graph,))

    def integers(self, floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        from snnfuse.nn.measured import measured_program

        assert samples is not None
        program = measured_program(self.net, samples.inputs)
        return Integers(as_pipeline(program), (self.net.graph,), samples, floats=floats)


@dataclass(frozen=True, eq=False)
class NetSource:
    """A netx file of lava-dl's, which holds integers: nothing is calibrated, samples make golden vectors only.

    Attributes:
        path: the file.
    """

    path: Path
    kind: ClassVar[str] = "netx"
    is_integer: ClassVar[bool] = True
    is_ours: ClassVar[bool] = False
    inputs: ClassVar[tuple[str, ...]] = ()

    def floats(self, samples: Samples | None, settings: Settings) -> StagedGraph:
        raise UnsupportedError(
            f"{self.path}: a netx file holds integers, of which there is no float graph; use --target loihi2, lava or netx"
        )

    def integers(self, floats: StagedGraph | None, samples: Samples | None, settings: Settings, target: Target) -> Integers:
        """The file's program; without samples random spikes make its golden vectors, which measure no accuracy."""
        from snnfuse.export.netx import open_net

        shape = None if settings.shapes is None else settings.shapes["input"]
        program, differences = open_net(self.path, dt=settings.dt, input_shape=shape)
        shapes = {name: node.shape for name, node in program.inputs.items()}
        samples = random_spikes(shapes) if samples is None else samples.named(tuple(shapes))
        return Integers(as_pipeline(program), (None,), samples, report={"netx_differences": to_json(differences)})


def shapes_of(source: Source, samples: Samples | None, settings: Settings) -> Shapes:
    """Of every input in one step; InputError where nothing tells them, or a network of ours was made for others."""
    shapes = samples.shapes if samples is not None else settings.shapes or {}
    missing = [name for name in source.inputs if name not in shapes]
    if missing:
        raise InputError(f"the shape of input {missing[0]!r} is not known: give --sample {missing[0]}=SHAPE, or --calib FILE.npz")
    _check_declared(getattr(getattr(source, "model", None), "config", None), shapes)
    return shapes


def _check_declared(config: Any, shapes: Shapes) -> None:
    """Refuse inputs of another shape than a network of ours was made for: its convolutions would take them all the same."""
    for name, shape in shapes.items():
        declared = getattr(config, name, None)
        sizes = (declared,) if isinstance(declared, int) else declared
        if isinstance(sizes, (tuple, list)) and all(isinstance(size, int) for size in sizes) and tuple(sizes) != tuple(shape):
            raise InputError(f"input {name!r} has shape {tuple(shape)} in one step, but the network was made for {tuple(sizes)}")


@dataclass(frozen=True)
class Opening:
    """How a file is opened: arguments of `snnfuse.load_checkpoint`."""

    model: "str | Callable[[], nn.Module] | None" = None
    allow_pickle: bool = False


OpenFile = Callable[[Path, Opening], Source]
Matches = Callable[[Any], bool]
FILES: dict[str, OpenFile] = {}
"""What opens a file, by its suffix."""


MODELS: list[tuple[Matches, Callable[[Any], Source]]] = []
"""What makes a source of a model or graph in memory; the first whose test says so does."""


def register_file(suffix: str, open_file: OpenFile) -> None:
    """Let files of a suffix, as ".net", be opened by a function of a path and an `Opening`."""
    FILES[suffix] = open_file


def register_model(matches: Matches, make: Callable[[Any], Source]) -> None:
    """Let models for which `matches` says so be sources that `make` makes; what is registered later is asked first."""
    MODELS.insert(0, (matches, make))


def open_source(path: str | Path, *, model: "str | Callable[[], nn.Module] | None" = None, allow_pickle: bool = False) -> Source:
    """A source from a file: a checkpoint, a .nir or a .net file, or of a suffix that was registered.

    Args and errors: as `snnfuse.load_checkpoint` and `snnfuse.export.lowering.nir_file.read_graph`; InputError for another suffix.
    """
    path = Path(path)
    if path.suffix not in FILES:
        raise InputError(f"{path}: a model is a checkpoint ({', '.join(CHECKPOINTS)}), a NIR graph (.nir) or a netx file (.net)")
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

    return GraphSource(read_graph(path))


def _is_graph(model: Any) -> bool:
    import nir

    return isinstance(model, nir.NIRGraph)


def _is_staged(model: Any) -> bool:
    if not hasattr(model, "forward"):
        return False
    from snnfuse.networks import Staged

    return isinstance(model, Staged)


def _is_trained(model: Any) -> bool:
    if not hasattr(model, "forward"):
        return False
    from snnfuse.nn import FixedPointNetwork

    return isinstance(model, FixedPointNetwork)


register_model(lambda model: hasattr(model, "forward"), ModelSource)
register_model(_is_graph, GraphSource)
register_model(_is_staged, StagedSource)
register_model(_is_trained, TrainedSource)
register_file(".nir", _open_graph)
register_file(".net", lambda path, _: NetSource(path))
for _suffix in CHECKPOINTS:
    register_file(_suffix, _open_checkpoint)
