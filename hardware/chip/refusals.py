"""What to say of a program that takes more cores than the board has: the largest layer, by how much, and what would make it fit."""

from collections.abc import Iterator, Mapping
from typing import get_args

import numpy as np

from snnfuse.hardware.chip.boards import BOARDS
from snnfuse.hardware.chip.layers import Demands
from snnfuse.hardware.chip.resources import Layer, Resources, count
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.lif import Reset
from snnfuse.hardware.ir.program import Program

MICROCODE = "take microcode too, with tier='B' on target='loihi2' or target='lava'"
RESETS = "give them the stock neuron's reset, by fine-tuning (snnfuse train --from) or by reset='zero', which measures what it costs"
POOLS = "pool spikes, behind the neuron, and train again"


def needs_microcode(names: Mapping[str, str]) -> str:
    """Neurons of tier B where only stock ones are taken: their reset rule, or their kind, by name."""
    rows = ", ".join(f"{name} ({kind})" for name, kind in names.items())
    kinds = {"reset" if kind in get_args(Reset) else kind.lower() for kind in names.values()}
    stock = [way for kind, way in (("maximum", POOLS), ("reset", RESETS)) if kind in kinds] if kinds <= {"maximum", "reset"} else []
    ways_out = "; or ".join([MICROCODE, *([", and ".join(stock)] if stock else [])])
    return f"only stock neurons (tier A) are taken, and these need neuron microcode: {rows}. Ways out: {ways_out}"


def board_is_full(program: Program, resources: Resources, bits: int) -> str:
    """More cores than the board has."""
    board, layer = resources.board, max(resources.layers, key=lambda layer: layer.cores)
    return (
        f"layer {layer.name!r} takes {layer.cores} cores for {_amount(layer)} ({board.limits[layer.bound_by]}); "
        f"with all layers {resources.cores} cores, {resources.cores - board.cores} more than the {board.cores} of {board.name}; "
        + "; or ".join(_ways_out(program, resources, layer, bits))
    )


def _amount(layer: Layer) -> str:
    if layer.bound_by == "synapse_words":
        return f"{layer.memory} bytes of synapses"
    if layer.bound_by == "axons_in":
        return f"{layer.axons_in} input axons on a core"
    return f"{layer.neurons} neurons"


def _ways_out(program: Program, resources: Resources, layer: Layer, bits: int) -> Iterator[str]:
    board, demands = resources.board, Demands(program)
    larger = [b for b in BOARDS.values() if b.chips > board.chips and b.chips * board.value("cores") >= resources.cores]
    if larger:
        yield f"it fits board={larger[0].name!r}"
    if resources.rule == "lava" and (tight := count(program, board, bits, "tight", demands)).fits:
        yield f"rule='tight' fits with {tight.cores} cores, given a compiler that splits layers so"
    fewer = next((n for n in range(bits - 1, 0, -1) if _fits(program, resources, n, demands)), None)
    if fewer:
        yield f"weight_bits={fewer} fits"
    if not larger and not fewer:
        yield from _smaller(program, resources, layer)


def _smaller(program: Program, resources: Resources, layer: Layer) -> Iterator[str]:
    spare = resources.board.cores - (resources.cores - layer.cores)
    if spare < 1:
        yield "make the layers smaller, or divide the network over several boards"
    elif layer.bound_by == "neurons":
        yield f"layer {layer.name!r} would have to do with {spare} cores: about {layer.neurons * spare // layer.cores} neurons"
    else:
        share = int(np.floor(100 * (1 - spare / layer.cores)))
        yield f"layer {layer.name!r} would have to do with {spare} cores: with about {share} % fewer weights that are not 0"


def _fits(program: Program, resources: Resources, bits: int, demands: Demands) -> bool:
    try:
        return count(program, resources.board, bits, resources.rule, demands).fits
    except DoesNotFitError:
        return False
