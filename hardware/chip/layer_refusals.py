"""What to say of a layer of which not even a neuron fits a core: the limit, by how much it is exceeded, and what would make it fit."""

from collections.abc import Iterator

from snnfuse.hardware.chip.boards import Board
from snnfuse.hardware.chip.layers import Demand
from snnfuse.hardware.chip.packing import Words
from snnfuse.hardware.chip.splitting import Split, even, load


def layer_fits_no_core(demand: Demand, board: Board, tight_fits: bool) -> str:
    """A layer of which not even a neuron fits a core; `tight_fits`: it would if equal sources shared an axon."""
    alone = Split(even(demand.channels, demand.channels), even(demand.positions, demand.positions))
    held = load(demand, alone, board)
    limit = next(held.exceeded(demand, board))
    needed = {"synapse_words": held.words, "axons_in": held.axons_in}.get(limit, 1)
    if limit == "delay_slots":
        needed = demand.slots
    if limit == "state_words":
        needed = demand.words
    if limit == "axons_out":
        needed = demand.outgoing
    what = f"a single neuron of layer {demand.name!r} takes {needed}"
    return f"{what}, {needed - board.value(limit)} more than {board.limits[limit]}; " + "; or ".join(
        [*_narrower(demand, board, limit), *(["rule='tight' fits, given a compiler that splits layers so"] if tight_fits else [])]
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
