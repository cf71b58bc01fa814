"""`snnfuse compare`: do two of checkpoint, graph, bundle, saved run and netx file do the same, and where not first."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnfuse.commands.console import PATH, Console, json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    import nir
    from numpy.typing import NDArray

    from snnfuse.hardware import Comparison, Program, Recording


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--input", "inputs", type=PATH, metavar="FILE", help=".npz with an array (time, batch, ...) per input, fed to both.")
@json_option
def compare(first: Path, second: Path, inputs: Path | None, json_to: str | None, quiet: bool) -> int:
    """Compare FIRST and SECOND, each a checkpoint, a graph (.nir), a bundle, a netx file (.net) or a run that simulate saved (.npz).

    Both run on --input, else on a bundle's golden inputs, else on random spikes. A checkpoint or graph runs in floats, as its graph says;
    a bundle runs its program. Ends equal, or with the first difference (exit 1): of what two of one kind hold, and of spikes and states.
    """
    from snnfuse.hardware.errors import VerificationError

    console = Console(json_to, quiet, (first, second, inputs))
    with console.result() as result:
        result.update(run_comparison(first, second, inputs, console))
    console.say("equal" if result["equal"] else "DIFFERENT")
    return 0 if result["equal"] else VerificationError.exit_code


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two; of program, graph and saved arrays exactly one is there.

    Attributes:
        name: as it was given.
        program: of a bundle or netx file.
        graph: of a checkpoint, graph, or bundle without program.
        saved: of a run.
        golden: float inputs that a bundle holds.
    """

    name: str
    program: "Program | None" = None
    graph: "nir.NIRGraph | None" = None
    saved: "Mapping[str, NDArray] | None" = None
    golden: "Mapping[str, NDArray] | None" = None

    @property
    def shapes(self) -> "dict[str, tuple[int, ...]]":
        """Of its inputs in one step; none of a saved run."""
        if self.program is not None:
            return {name: node.shape for name, node in self.program.inputs.items()}
        if self.graph is None:
            return {}
        from snnfuse.export import lower

        return dict(lower(self.graph).inputs)


def open_side(path: Path, shapes: "Mapping[str, tuple[int, ...]] | None" = None) -> Side:
    """What a path holds.

    Args:
        path: of a checkpoint, graph, bundle, saved run or netx file.
        shapes: of a checkpoint's inputs in one step, if known.

    Raises:
        InputError: nothing that can be compared, or a network in stages.
    """
    from snnfuse.compile import Settings, open_source
    from snnfuse.data.samples import read_arrays
    from snnfuse.hardware.errors import InputError

    if path.is_dir():
        return _bundle(path)
    if path.suffix == ".npz":
        return Side(str(path), saved=read_arrays(path))
    if path.suffix == ".net":
        from snnfuse.export import read_net

        return Side(str(path), program=read_net(path))
    source = open_source(path)
    if source.floats is None:
        raise InputError(f"{path}: holds neither a float network nor a program")
    known = dict(zip(source.inputs, shapes.values())) if shapes and len(source.inputs) == len(shapes) == 1 else shapes
    graph, *more = source.floats(None, Settings(shapes=known)).stages
    if more:
        raise InputError(f"{path}: a network in stages; compare the bundles of its stages")
    return Side(str(path), graph=graph)


def open_both(first: Path, second: Path, inputs: Path | None) -> tuple[Side, Side]:
    """Both sides; what a checkpoint does not know, the shapes of its inputs, is the other's, or the file's."""
    from snnfuse.compile.sources import CHECKPOINTS
    from snnfuse.data.samples import read_samples

    shapes = None if inputs is None else read_samples(inputs).shapes
    sides: dict[int, Side] = {}
    for number, path in sorted(enumerate((first, second)), key=lambda pair: pair[1].suffix in CHECKPOINTS):
        sides[number] = open_side(path, shapes)
        shapes = shapes or sides[number].shapes
    return sides[0], sides[1]


def _bundle(path: Path) -> Side:
    from snnfuse.export import read_bundle
    from snnfuse.export.targets import find_target

    bundle = read_bundle(path)
    if not find_target(bundle.manifest["target"]).has_program:
        return Side(str(path), graph=bundle.graph)
    golden = None
    if any(name.startswith("golden/") for name in bundle.manifest["files"]):
        golden = {name: array * bundle.program.inputs[name].scale for name, array in bundle.events.items()}
    return Side(str(path), program=bundle.program, golden=golden)


def run_comparison(first: Path, second: Path, inputs: Path | None, console: Console) -> dict[str, Any]:
    """Open, run, compare and print; returns the figures."""
    from snnfuse.diagnosis.contents import graph_difference, program_difference

    a, b = open_both(first, second, inputs)
    held = None
    if a.program is not None and b.program is not None and a.program.neurons.keys() & b.program.neurons.keys():
        held = program_difference(a.program, b.program)
    elif a.graph is not None and b.graph is not None:
        held = graph_difference(a.graph, b.graph)
    if held is not None:
        console.say(f"they hold different networks: {held}")
    mine, others = a.shapes, b.shapes
    if mine and others and mine != others and not (len(mine) == len(others) == 1 and [*mine.values()] == [*others.values()]):
        console.say(f"they take different inputs: {', '.join(mine)} against {', '.join(others)}")
        return {"equal": False, "held": held or "inputs", "first": None, "inputs": None}
    x, source = inputs_of(a, b, inputs)
    runs = called_alike(recorded(a, x), recorded(b, x), console)
    if held is not None and not (runs[0].spikes.keys() & runs[1].spikes.keys()) - runs[0].outputs.keys():
        return {"equal": False, "held": held, "first": None, "inputs": source}
    found = of_runs(*runs)
    console.say(f"on {source}\n{found}")
    counts = {name: {"compared": n, "mismatches": wrong} for name, (n, wrong) in found.by_variable.items()}
    first_place = None if found.first is None else str(found.first)
    return {"equal": held is None and not found.mismatches, "held": held, "first": first_place, "inputs": source, **counts}


def inputs_of(a: Side, b: Side, given: Path | None) -> "tuple[Mapping[str, NDArray], str]":
    """Float inputs for both, and where they are from; none for two saved runs."""
    from snnfuse.compile.random_inputs import random_inputs
    from snnfuse.data.samples import read_samples
    from snnfuse.hardware.errors import InputError

    shapes = a.shapes or b.shapes
    if not shapes:
        return {}, "what both were run on"
    if given is not None:
        return read_samples(given).named(tuple(shapes)).inputs, str(given)
    golden = next(((side.golden, side.name) for side in (a, b) if side.golden is not None), None)
    if golden is not None:
        return dict(zip(shapes, golden[0].values())) if len(shapes) == 1 else golden[0], f"the golden inputs of {golden[1]}"
    if a.saved is not None or b.saved is not None:
        raise InputError("a saved run is compared on what it was run on: give --input FILE")
    from snnfuse.hardware import SpikeInput

    program = a.program or b.program
    random = random_inputs({n: SpikeInput(s) for n, s in shapes.items()} if program is None else program.inputs, None)
    return random.inputs, random.source


def recorded(side: Side, x: "Mapping[str, NDArray]") -> "Recording":
    """Its run, every layer with its states."""
    from snnfuse.export import record_floats
    from snnfuse.hardware import Recording, emulate

    if side.saved is not None:
        return saved_recording(side.saved, side.name)
    shapes = side.shapes
    own = dict(zip(shapes, x.values())) if len(shapes) == len(x) == 1 else x
    if side.program is not None:
        return emulate(side.program, side.program.encode(own), "all", states=True)
    run = record_floats(side.graph, own)  # pyright: ignore[reportArgumentType]  (it is neither of the others)
    return Recording(run.spikes, run.states, {}, run.outputs, {}, run.backend)


def saved_recording(arrays: "Mapping[str, NDArray]", name: str) -> "Recording":
    """What `snnfuse simulate -o` wrote; InputError where nothing of it is a run."""
    from snnfuse.hardware import Recording
    from snnfuse.hardware.errors import InputError

    spikes, states = {}, {}
    for key, array in arrays.items():
        node, _, variable = key.rpartition(".")
        if variable == "spikes":
            spikes[node] = array
        elif variable != "classes" and node:
            states.setdefault(node, {})[variable] = array
    if not spikes:
        raise InputError(
            f"{name}: no saved run, for no array of it is called NAME.spikes; write one with snnfuse simulate -o FILE --record all"
        )
    return Recording(spikes, states, {}, {}, {}, name)


def called_alike(a: "Recording", b: "Recording", console: Console) -> "tuple[Recording, Recording]":
    """Two runs that share no layer, as those of a netx file and of what it was made from, which numbers its layers: the second's layers
    under the names of the first's, in their order, where all have the same shapes."""
    from dataclasses import replace

    outputs = {name for run in (a, b) for name, node in run.outputs.items() if name != node}  # a saved run does not say which are
    mine, others = ([n for n in run.spikes if n not in outputs] for run in (a, b))
    if set(mine) & set(others) or [a.spikes[n].shape for n in mine] != [b.spikes[n].shape for n in others]:
        return a, b
    names = dict(zip(others, mine))
    console.say(f"layers are compared in their order: {', '.join(f'{n} with {m}' for m, n in names.items())}")
    renamed = {names[n]: spikes for n, spikes in b.spikes.items() if n in names}
    return a, replace(b, spikes=renamed, states={names[n]: states for n, states in b.states.items() if n in names}, outputs={}, latency={})


def of_runs(a: "Recording", b: "Recording") -> "Comparison":
    """Compare in each node's own window, whatever steps it lags by."""
    from dataclasses import replace

    from snnfuse.hardware import compare as compare_recordings

    return compare_recordings(replace(a, latency={}), replace(b, latency={}))
