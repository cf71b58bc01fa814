"""The network on the chip: which link carries most, for messages between cores.

Cores are numbered along tiles of four, tiles along the rows of a mesh of 8 by 4, as on Loihi 1; a message goes along its row first and
then along its column (dimension-order routing: arXiv 2601.10035). That layers lie on neighbouring cores is assumed. What crosses to
another chip goes over one link per pair of chips.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

CORES_PER_TILE = 4
WIDTH, HEIGHT = 8, 4
TILES = WIDTH * HEIGHT


@dataclass(frozen=True)
class LinkLoad:
    """What the busiest link carries per step.

    Attributes:
        bits: on the busiest link within a chip; 0 where nothing leaves its tile.
        where: that link, as "chip 0, tile 3 -> tile 4".
        between_bits: on the busiest link between two chips.
        between: that link, as "chip 0 -> chip 1".
    """

    bits: float = 0.0
    where: str = "none"
    between_bits: float = 0.0
    between: str = "none"


def busiest_link(bits: sparse.csr_matrix, between_bits: sparse.csr_matrix, chip_of: NDArray[np.int64]) -> LinkLoad:
    """Return the link within a chip and the link between chips that carry most.

    Args:
        bits: (cores, cores) float64, bits per step from each core to each, as they are long within a chip.
        between_bits: the same messages as they are long between chips.
        chip_of: (cores,) chip of each core; cores of a chip are numbered in order.
    """
    inside = _inside(bits, chip_of)
    crossing = _crossing(between_bits, chip_of)
    chip, link, most = max(inside, key=lambda each: each[2], default=(0, "none", 0.0))
    pair, out = max(crossing.items(), key=lambda each: each[1], default=((0, 0), 0.0))
    return LinkLoad(most, f"chip {chip}, {link}" if most else "none", out, f"chip {pair[0]} -> chip {pair[1]}" if out else "none")


def _inside(bits: sparse.csr_matrix, chip_of: NDArray[np.int64]) -> list[tuple[int, str, float]]:
    """(chip, link, bits) of the busiest link of every chip."""
    entries = bits.tocoo()
    tile_of = _places(chip_of) // CORES_PER_TILE
    found = []
    for chip in np.unique(chip_of):
        here = (chip_of[entries.row] == chip) & (chip_of[entries.col] == chip)
        between = np.zeros((TILES, TILES))
        np.add.at(between, (tile_of[entries.row[here]], tile_of[entries.col[here]]), entries.data[here])
        loads = _routed(between)
        if loads:
            link = max(loads, key=lambda each: loads[each])
            found.append((int(chip), f"tile {link[0]} -> tile {link[1]}", float(loads[link])))
    return found


def _places(chip_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which core of its chip each is; more than a mesh holds share its tiles."""
    places = np.zeros(len(chip_of), np.int64)
    for chip in np.unique(chip_of):
        here = np.flatnonzero(chip_of == chip)
        places[here] = np.arange(len(here)) % (TILES * CORES_PER_TILE)
    return places


def _routed(between: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    """Bits on every link in use, each from a tile to a neighbour, for bits from tile to tile."""
    loads: dict[tuple[int, int], float] = {}
    for source, target in zip(*np.nonzero(between)):
        for link in _route(int(source), int(target)):
            loads[link] = loads.get(link, 0.0) + float(between[source, target])
    return loads


def _route(source: int, target: int) -> list[tuple[int, int]]:
    """Links from tile to tile: along the row, then along the column."""
    links, at = [], source
    while at % WIDTH != target % WIDTH:
        step = at + (1 if target % WIDTH > at % WIDTH else -1)
        links.append((at, step))
        at = step
    while at != target:
        step = at + (WIDTH if target > at else -WIDTH)
        links.append((at, step))
        at = step
    return links


def _crossing(bits: sparse.csr_matrix, chip_of: NDArray[np.int64]) -> dict[tuple[int, int], float]:
    entries = bits.tocoo()
    loads: dict[tuple[int, int], float] = {}
    chips = chip_of[entries.row], chip_of[entries.col]
    for a, b, amount in zip(*(chip[chips[0] != chips[1]] for chip in chips), entries.data[chips[0] != chips[1]]):
        loads[int(a), int(b)] = loads.get((int(a), int(b)), 0.0) + float(amount)
    return loads
