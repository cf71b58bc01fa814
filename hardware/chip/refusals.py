"""What to say of a program that does not fit: the layer, the limit, by how much, and what would make it fit."""

from collections.abc import Iterator

import numpy as np

from snnfuse.hardware.chip.boards import BOARDS, Board
from snnfuse.hardware.chip.layers import Demand, Demands
from snnfuse.hardware.chip.packing import Words
from snnfuse.hardware.chip.resources import Layer, Resources, count
from snnfuse.hardware.chip.splitting import Split, even, load
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.program import Program


def layer_fits_no_core(demand: Demand, board: Board, tight_fits: bool) -> str:
    """A layer of which not even a neuron fits a core; `tight_fits`: it would if equal sources shared an axon."""
    alone = Split(even(demand.channels, demand.channels), even(demand.positions, demand.positions))
    held = load(demand, alone, board)
    limit = next(held.exceeded(demand, board))
    needed = {"synapse_words": held.words, "axons_in": held.axons_in}.get(limit, 1)
    if limit == "delay_slots":
        needed = demand.slots
    if limit == "axons_out":
        needed = demand.outgoing
    what = f"a single neuron of layer {demand.name!r} takes {needed}"
    return f"{what}, {needed - board.value(limit)} more than {board.limits[limit]}; " + "; or ".join(
        [*_narrower(demand, board, limit), *(["--split tight fits, given a compiler that splits layers so"] if tight_fits else [])]
    )


def _narrower(demand: Demand, board: Board, limit: str) -> Iterator[str]:
    if limit in ("axons_in", "synapse_words"):
        yield "give it fewer sources: pool or mask them, so that fewer weights are not 0, or sum them in a layer between"
        words = Words.of(board)
        smallest = demand.kernels(words, 1) if demand.convolutions else 0
        if limit == "synapse_words" and smallest > board.value(limit):
            yield "make the kernel or its input channels smaller"
    elif limit == "delay_slots":
        yield "shorten its longest delay"
    else:
        yield f"let it feed fewer layers, or set {limit} in a board file"


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
        yield f"it fits --board {larger[0].name}"
    if resources.rule == "lava" and (tight := count(program, board, bits, "tight", demands)).fits:
        yield f"--split tight fits with {tight.cores} cores, given a compiler that splits layers so"
    fewer = next((n for n in range(bits - 1, 0, -1) if _fits(program, resources, n, demands)), None)
    if fewer:
        yield f"--weight-bits {fewer} fits"
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
