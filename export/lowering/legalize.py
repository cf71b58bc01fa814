"""A float network rewritten so that it holds only what a Program does, spike for spike the same.

    a gain or bias behind a maximum before it, but for the sign; and behind it; see `maxima`
    a neuron that never resets      one that does, and is given back what that takes; see `unreset`
    reset to a voltage R            v counts from R: threshold and leak shift, and the voltage starts at -R
    threshold <= 0, no memory       threshold and voltage are raised alike
    a loop of several populations   one population with a recurrent connection; outputs read it through neurons that repeat spikes

Every connection of a Program into a population brings the same step of its source, but a recurrent one, which brings the step before.
So a loop, each of whose connections takes a step, is the recurrence of one population, and no backend needs to know of it.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy import sparse

from snnfuse.export.lowering.graph import fresh_name
from snnfuse.export.lowering.maxima import with_plain_maxima
from snnfuse.export.lowering.network import Array, FloatReset, Network, Population, Projection
from snnfuse.export.lowering.passes import Pass, Watch, run_passes
from snnfuse.export.lowering.populations import ANY_SPIKE, memoryless
from snnfuse.export.lowering.unreset import with_reset_returned
from snnfuse.export.lowering.weights import Weights, from_matrix
from snnfuse.export.targets import LAVA, Target
from snnfuse.hardware.chip.check import refuse
from snnfuse.hardware.errors import UnsupportedError

ZERO: FloatReset = "zero"


def legalize(network: Network, target: Target = LAVA, watch: Watch | None = None) -> Network:
    """The network in a Program's terms.

    Args:
        network: as `lower` gives it; one that is legal already comes back as it is.
        target: what runs it.
        watch: called after each pass with its name and what it gave.

    Returns:
        Network without loops of several populations, with thresholds above 0 and resets to 0. A loop's population is called
        "loop(...)" by its members, and a member that is an output has its own name besides. Where `start` is not None the chip,
        whose voltages start at 0, differs.

    Raises:
        UnsupportedError: neurons of a tier that the target does not run; a loop of populations that reset differently; paths too
            different in length.
    """
    check_tiers(network, target)
    return run_passes(LEGALIZE, network, watch)


def with_resets_to_zero(network: Network) -> Network:
    """Count every voltage from where it resets to."""
    return replace(network, populations={name: _reset_to_zero(p) for name, p in network.populations.items()})


def with_thresholds_above_zero(network: Network) -> Network:
    """Raise thresholds that are not above 0, and the voltages with them, where nothing lasts a step."""
    return replace(network, populations={name: _above_zero(p) for name, p in network.populations.items()})


def with_loops_merged(network: Network) -> Network:
    """Make one population of those that form a loop.

    Raises:
        UnsupportedError: they reset differently, or an output reads the membrane of one.
    """
    for group in network.groups:
        if len(group) > 1:
            network = _merged(network, group)
    return network


def with_timing_checked(network: Network) -> Network:
    """Check that no synapse would have to delay by more steps than it can.

    Raises:
        UnsupportedError: one would, by name.
    """
    network.check_timing()
    return network


LEGALIZE: tuple[Pass[Network], ...] = (
    Pass("plain maxima", with_plain_maxima),
    Pass("resets returned", with_reset_returned),
    Pass("resets to zero", with_resets_to_zero),
    Pass("thresholds above zero", with_thresholds_above_zero),
    Pass("loops merged", with_loops_merged),
    Pass("timing", with_timing_checked),
)


def check_tiers(network: Network, target: Target) -> None:
    """UnsupportedError, naming them, for populations that need microcode where the target runs none."""
    if "B" not in target.tiers:
        refuse({name: kind for name, p in network.populations.items() if (kind := _microcode(p)) is not None})


def _microcode(p: Population) -> str | None:
    """Why a population is of tier B: its reset or its kind; None where stock neurons do, as for an AND of spikes."""
    if p.kind == "neuron":
        return p.reset if p.has_memory and p.reset != "zero" else None
    return p.own.kind.__name__ if p.own else p.kind if p.sends_numbers else None


def _reset_to_zero(p: Population) -> Population:
    """v counts from where it resets to; where no step leaves anything, any reset is one to zero."""
    if not p.has_memory:
        p = replace(p, reset="zero", taken=None)
    if p.reset_to is None or p.reset != "zero":
        return replace(p, reset_to=None)
    start = np.zeros(p.shape) if p.start is None else p.start
    leak = p.voltage_bias - (1 - p.beta) * p.reset_to
    origin = p.reset_to if p.origin is None else p.origin + p.reset_to
    return replace(p, theta=p.theta - p.reset_to, voltage_bias=leak, reset_to=None, start=start - p.reset_to, origin=origin)


def _above_zero(p: Population) -> Population:
    """A neuron without memory compares its input only, so that both sides may rise by the same: a power of two, which rounds least."""
    low = p.theta <= 0
    if not low.any():
        return p
    rise = np.where(low, 2.0 ** np.ceil(np.log2(1 - np.where(low, p.theta, 0))), 0.0)
    return replace(p, theta=p.theta + rise, voltage_bias=p.voltage_bias + rise, origin=-rise if p.origin is None else p.origin - rise)


def _merged(network: Network, group: tuple[str, ...]) -> Network:
    for member in (name for name in group if name in network.read_voltages):
        raise UnsupportedError(
            f"an output reads the membrane of {member!r}, which is in the loop of {', '.join(group)}: that becomes one population on the "
            "chip, of which neurons behind it repeat the spikes; read its spikes, or cut the loop"
        )
    name = fresh_name(f"loop({', '.join(group)})", network.names)
    rows = _rows(network, group)
    size = max(r.stop for r in rows.values())

    def moved(p: Projection) -> Projection:
        out, back = p.weights.matrix.shape
        source, columns = (name, rows[p.source]) if p.source in group else (p.source, range(back))
        target, lines = (name, rows[p.target]) if p.target in group else (p.target, range(out))
        if name not in (source, target):
            return p
        whole = size if target == name else out, size if source == name else back
        return replace(p, source=source, target=target, weights=_placed(p.weights.matrix, whole, lines, columns))

    read = [n for n in group if n in network.outputs.values()]
    members = {n: network.populations[n] for n in group}
    repeated = {n: memoryless(members[n].shape, ANY_SPIKE) for n in read}
    readings = [Projection(name, n, _reading(rows[n], size), is_fixed=True) for n in read]
    whole = _joined(members)
    given_back = _given_back(members, whole, rows)
    projections = (*map(moved, network.projections), *(Projection(name, name, w, is_fixed=True) for w in given_back), *readings)
    kept = {n: p for n, p in network.populations.items() if n not in group}
    return replace(network, populations={**kept, name: whole, **repeated}, projections=projections)


def _rows(network: Network, group: tuple[str, ...]) -> dict[str, range]:
    """Where each member's neurons lie in the loop's population."""
    rows, start = {}, 0
    for name in group:
        rows[name] = range(start, start + int(np.prod(network.populations[name].shape)))
        start = rows[name].stop
    return rows


def _placed(matrix: Array | sparse.csr_matrix, shape: tuple[int, int], rows: range, columns: range) -> Weights:
    """A matrix as a block of a larger one that is zero elsewhere."""
    block = sparse.coo_matrix(matrix)
    return from_matrix(sparse.csr_matrix((block.data, (block.row + rows.start, block.col + columns.start)), shape=shape))


def _reading(rows: range, size: int) -> Weights:
    """What brings each spike of some neurons of a loop to one that repeats it."""
    return _placed(sparse.csr_matrix(sparse.identity(len(rows))), (len(rows), size), range(len(rows)), rows)


def _joined(members: dict[str, Population]) -> Population:
    """All neurons of a loop as one population."""
    own = [name for name, p in members.items() if p.own]
    if own:
        raise UnsupportedError(f"the loop of {', '.join(members)} would become one population, and {own[0]} is no LIF; cut the loop")
    resets: set[FloatReset] = {p.reset for p in members.values() if p.has_memory}
    forgetful = [name for name, p in members.items() if not p.has_memory]
    if resets & {"subtract_undelayed", "zero_delayed"} and forgetful:  # what these do to the next step, neurons without memory must not
        resets.add("none")
    if len(resets) > 1:
        raise UnsupportedError(
            f"the loop of {', '.join(members)} would become one population on the chip, but they reset differently "
            f"({', '.join(sorted(resets))}); give them one rule, as reset='subtract'"
        )
    reset = resets.pop() if resets else ZERO
    parts = list(members.values())
    alphas = [np.zeros(p.shape) if p.alpha is None else p.alpha for p in parts]
    starts = [np.zeros(p.shape) if p.start is None else p.start for p in parts]
    return Population(
        shape=(sum(p.theta.size for p in parts),),
        beta=_flat(p.beta for p in parts),
        gain=_flat(p.gain for p in parts),
        theta=_flat(p.theta for p in parts),
        alpha=_flat(alphas) if any(p.alpha is not None for p in parts) else None,
        current_gain=_flat(p.current_gain for p in parts),
        bias=_flat(p.bias for p in parts),
        voltage_bias=_flat(p.voltage_bias for p in parts),
        reset=reset,
        taken=None if reset == "zero" else _flat(p.amount for p in parts),
        start=_flat(starts) if any(p.start is not None for p in parts) else None,
    )


def _flat(arrays: Iterable[Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays])


def _given_back(members: dict[str, Population], whole: Population, rows: dict[str, range]) -> list[Weights]:
    """What neurons without memory need where the others' reset subtracts from the next voltage: the same, one step after a spike."""
    if whole.reset != "subtract_delayed":
        return []
    back = np.zeros(whole.shape)
    for name, population in members.items():
        if not population.has_memory:
            back[rows[name].start : rows[name].stop] = population.amount.ravel()
    return [from_matrix(sparse.diags(back, format="csr"))] if back.any() else []
