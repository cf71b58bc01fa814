"""NIR graph to float network: every node becomes part of a population or of a projection, or is refused by name."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from snnfuse.export.lowering.count_proof import unproven
from snnfuse.export.lowering.graph import Graph
from snnfuse.export.lowering.graph_metadata import read_notes
from snnfuse.export.lowering.linear_regions import find_regions, fold_regions, node_maps
from snnfuse.export.lowering.maximum_patterns import MaximumNode, with_maxima
from snnfuse.export.lowering.network import Network, Population
from snnfuse.export.lowering.neuron_nodes import check_numbers
from snnfuse.export.lowering.neuron_patterns import Cell, find_cells
from snnfuse.export.lowering.nir_nodes import find_lowering, known_types
from snnfuse.export.lowering.outputs import BEFORE_RESET, check_before_reset, membrane_read, with_membranes_noted
from snnfuse.export.lowering.own_parameters import as_exported
from snnfuse.export.lowering.passes import Pass, Watch, run_passes
from snnfuse.export.lowering.populations import ANY_SPIKE, build, memoryless, never_firing, own_shape
from snnfuse.export.lowering.product_patterns import with_products
from snnfuse.export.lowering.shapes import as_shape, declared_shape, infer, same_neurons, size
from snnfuse.export.lowering.state import Lowering, named
from snnfuse.export.lowering.subgraphs import inlined
from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ledger import Ledger, LedgerEntry

DEFAULT_DT = 1e-4
MISSING_RESET = LedgerEntry("graph", "reset rule read as NIR's: to zero, at once", "the file does not say which it was trained with")
MISSING_DT = LedgerEntry("graph", f"time step dt = {DEFAULT_DT:g} s", "the file does not say it; give dt to read it by another")


def lower(graph: nir.NIRGraph, dt: float | None = None, watch: Watch | None = None) -> Network:
    """Lower a NIR graph.

    Args:
        graph: standard primitives, or types of node that are registered with `snnfuse.export.register_lowering`; edges into one node
            add; subgraphs are written out.
        dt: seconds per step; by default what the graph's metadata says, or 1e-4 with a ledger entry.
        watch: called after every pass with its name and what it gave, a `Graph`, `Lowering` or `Network`; see `snnfuse.export.passes`.

    Returns:
        Network whose populations carry the names of the NIR nodes that spike.

    Raises:
        UnsupportedError: a node or wiring that cannot be kept, by name.
        InputError: no graph, parameters that are not finite or do not fit their input, an edge to nowhere, or damaged metadata.
    """
    chosen, notes = time_step(graph, dt), read_notes(graph)
    ledger = notes.ledger if notes.ours else (*notes.ledger, MISSING_RESET)
    if dt is None and notes.dt is None:
        ledger += (MISSING_DT,)
    elif None not in (dt, notes.dt) and dt != notes.dt:
        ledger += (LedgerEntry("graph", f"time step read as {dt:g} s", f"asked for with dt; the file says {notes.dt:g} s"),)
    whole = MAXIMA(MEMBRANES(SUBGRAPHS(graph, watch=watch), watch=watch), watch=watch)
    network = _with_proven_products(whole, chosen, ledger, watch)
    if notes.ours:
        network = replace(network, populations={name: as_exported(p) for name, p in network.populations.items()})
    loops = tuple(map(_loop_entry, (group for group in network.groups if len(group) > 1)))
    readings = {name: reading for name, reading in notes.readings.items() if name in network.outputs}
    classes = {name: number for name, number in notes.classes.items() if name in network.outputs}
    return replace(network, ledger=network.ledger + loops, readings=readings, classes=classes)


def _with_proven_products(graph: Graph, dt: float, ledger: Ledger, watch: Watch | None) -> Network:
    """A graph whose products are products where that can be proven, and thresholds where it cannot."""
    without: frozenset[str] = frozenset()
    while True:
        lowered = run_passes(LOWERING, Lowering(PRODUCTS(graph, without, watch=watch), dt), watch)
        network = Network(lowered.inputs, lowered.populations, lowered.projections, lowered.outputs, dt, ledger, lowered.membranes)
        failed = unproven(network)
        if not failed:
            return network
        without |= failed


def time_step(graph: nir.NIRGraph, dt: float | None) -> float:
    """Seconds per step: as asked for, else as the metadata says, else `DEFAULT_DT`.

    Raises:
        InputError: no graph, damaged metadata, or no such time.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"a NIR graph is needed, not a {type(graph).__name__}; make one with snnfuse.export.to_nir(model, sample)")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise InputError(f"dt must be a positive number of seconds, not {dt}")
    return next(float(value) for value in (dt, read_notes(graph).dt, DEFAULT_DT) if value is not None)


def _loop_entry(group: tuple[str, ...]) -> LedgerEntry:
    change = f"every connection within the loop of {', '.join(group)} is read as taking one step"
    return LedgerEntry("graph", change, "NIR does not say where a loop's delay lies")


def check_nodes(lowering: Lowering) -> Lowering:
    """Check that every node is of a known type, holds finite numbers, and leads from an input to an output.

    Raises:
        UnsupportedError: a type of node that is not registered, or a loose node.
        InputError: numbers that are none, or no input or output.
    """
    check_has_ends(lowering.graph.of_type(nir.Input), lowering.graph.of_type(nir.Output))
    for name, node in lowering.nodes.items():
        found = find_lowering(node)
        if found is None:
            raise UnsupportedError(
                f"node {name!r} is a {type(node).__name__}, which has no counterpart on the chip yet; "
                f"these have: {', '.join(known_types())}; snnfuse.export.register_lowering registers another"
            )
        check_numbers(name, node, found)
        _check_ends(lowering.graph, name, node)
    return lowering


def check_has_ends(inputs: Collection[Any], outputs: Collection[Any]) -> None:
    """Check that a graph begins and ends somewhere.

    Raises:
        InputError: it has no Input or no Output node.
    """
    if not inputs:
        raise InputError("the graph has no Input node, so that there is nothing to run; add one with its shape")
    if not outputs:
        raise InputError("the graph has no Output node, so that there is nothing to read; connect one to its last neurons")


def _check_ends(graph: Graph, name: str, node: nir.NIRNode) -> None:
    sources, targets = graph.sources(name), graph.targets(name)
    if not isinstance(node, nir.Output) and not targets:
        raise UnsupportedError(f"node {name!r} leads nowhere; remove it or connect it to an output")
    if isinstance(node, nir.Output) and targets:
        raise InputError(f"node {name!r} is an Output, and leads on to {targets[0]!r}; read before it")
    if not isinstance(node, nir.Input) and not sources:
        raise UnsupportedError(f"node {name!r} is fed by nothing; remove it or connect it to an input")
    if isinstance(node, nir.Input) and sources:
        raise InputError(f"node {name!r} is an Input, and {sources[0]!r} leads into it; connect that to what it feeds")


def find_neurons(lowering: Lowering) -> Lowering:
    """Find the nodes that are one population of neurons together, and the inputs.

    An output of anything but one population that fires reads a membrane of its own, which forgets at once.

    Raises:
        UnsupportedError: a membrane that anything but a threshold or an output reads.
    """
    graph, cells = lowering.graph, find_cells(lowering.graph, lowering.dt)
    fires = {name for name, cell in cells.items() if not cell.sums and _sends_spikes(graph.nodes[name])}
    own = [name for name in graph.of_type(nir.Output) if not (len(s := graph.sources(name)) == 1 and s[0] in fires)]
    inputs = {name: declared_shape(name, graph.nodes[name].input_type) for name in graph.of_type(nir.Input)}
    return replace(lowering, inputs=inputs, cells=cells | {name: Cell(name, name) for name in own})


def _sends_spikes(node: nir.NIRNode) -> bool:
    """Whether neurons put out no numbers, as a maximum does, and a product of counts above 1."""
    return not isinstance(node, MaximumNode) and getattr(node, "bounds", (1, 1)) == (1, 1)


def infer_shapes(lowering: Lowering) -> Lowering:
    """Infer the shape of what every input, population and linear node puts out.

    Raises:
        InputError: a node does not fit what it is fed.
    """
    targets: dict[str, list[str]] = {}
    for source, target in lowering.outer_edges:
        if target in lowering.cells or not isinstance(lowering.nodes[target], nir.Output):
            targets.setdefault(source, []).append(target)
    own = {name: named(name, own_shape, cell, lowering.nodes) for name, cell in lowering.cells.items()}
    shapes = infer(lowering.inputs, own, targets, lambda name, fed: node_maps(lowering, name, fed)[0].shape)
    return replace(lowering, shapes=shapes)


def build_populations(lowering: Lowering) -> Lowering:
    """Turn the parameters of every population's nodes into factors per step.

    Raises:
        UnsupportedError: a threshold is not positive, or does not lie above where the voltage resets to.
        InputError: a time constant is shorter than a step, or a parameter does not fit the shape.
    """
    return replace(lowering, populations={name: named(name, _population, lowering, name, cell) for name, cell in lowering.cells.items()})


def _population(lowering: Lowering, name: str, cell: Cell) -> Population:
    if isinstance(lowering.nodes[name], nir.Output):
        return memoryless(lowering.shapes[name], np.inf)
    neuron = build(cell, lowering.nodes, lowering.dt, lowering.shapes[name])
    if np.isinf(getattr(lowering.nodes[name], "v_threshold", 0.0)).any():
        neuron = never_firing(neuron, only_read(lowering.graph, name))
    return memoryless(neuron.shape, ANY_SPIKE) if lowering.is_maximum(name, neuron) else neuron


def connect_outputs(lowering: Lowering) -> Lowering:
    """Find the population that each output reads, and whether it reads spikes or a voltage.

    Raises:
        UnsupportedError: an output reads an input.
        InputError: an output is declared with another shape.
    """
    outputs = {name: _output(lowering, name) for name in lowering.graph.of_type(nir.Output)}
    noted = {name: reads for name in outputs if (reads := membrane_read(name, lowering.nodes[name])) is not None}
    for name in (name for name, reads in noted.items() if reads == BEFORE_RESET):
        check_before_reset(name, lowering.populations[outputs[name]])
    silent = {name for name, node in outputs.items() if lowering.populations[node].is_readout}
    return replace(lowering, outputs=outputs, membranes=frozenset({*noted, *silent}))


def _output(lowering: Lowering, name: str) -> str:
    sources = lowering.graph.sources(name)
    if name in lowering.cells:
        straight = [source for source in sources if source in lowering.inputs]
        if straight:
            raise UnsupportedError(f"output {name!r} reads the input {straight[0]!r} itself; put a neuron or a linear map in between")
    source = name if name in lowering.cells else sources[0]
    types, shape = lowering.nodes[name].output_type, lowering.shapes[source]
    declared = types.get("output") if isinstance(types, Mapping) else None
    # one element is also what NIR infers behind neurons whose parameters are single numbers
    if declared is not None and size(stated := as_shape(name, declared)) != 1 and not same_neurons(stated, shape):
        raise InputError(f"output {name!r} is declared with shape {stated}, but {source!r} has {shape}")
    return source


def only_read(graph: Graph, name: str) -> bool:
    """Whether nothing but outputs read a node."""
    return all(isinstance(graph.nodes[target], nir.Output) for target in graph.targets(name))


SUBGRAPHS = Pass("subgraphs", inlined)
MEMBRANES = Pass("membranes read", with_membranes_noted)
MAXIMA = Pass("maxima", with_maxima)
PRODUCTS = Pass("products", with_products)
LOWERING: tuple[Pass[Lowering], ...] = (
    Pass("check nodes", check_nodes),
    Pass("neurons", find_neurons),
    Pass("linear regions", find_regions),
    Pass("shapes", infer_shapes),
    Pass("populations", build_populations),
    Pass("projections", fold_regions),
    Pass("outputs", connect_outputs),
)
