"""How a network's outputs are read: which of them decides on a class, and by what rule. The one place that decides it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Network, Population
from snnfuse.export.lowering.outputs import reading
from snnfuse.export.targets import Target
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS
from snnfuse.hardware.ir.nodes import SPIKE_DECODERS, Decoder, Output
from snnfuse.hardware.ledger import LedgerEntry


@dataclass(frozen=True)
class Reading:
    """What a user says of outputs.

    Attributes:
        decoder: the rule; None for spike count, and the sum of what reads a membrane. Where some outputs read spikes and others membranes,
            it is that of the outputs that it fits.
        num_classes: of a population code, groups of neurons in a row; None: each neuron is a class.
        output: which one classes are read from; None: the only one, or of several that read the same neurons the first that `decoder` fits.
    """

    decoder: Decoder | None = None
    num_classes: int | None = None
    output: str | None = None


LAST = "last"  # of a network's readings
OF_READING: Mapping[str, Decoder] = {LAST: "membrane_last", "max": "membrane_max"}
EACH_OWN = Reading()


def read_as(network: Network, asked: Reading) -> Network:
    """The network, an output of which reads membranes where the decoder does and no output would, and spikes likewise.

    Raises:
        InputError: no such output.
    """
    if asked.output is not None and asked.output not in network.outputs:
        raise InputError(f"no output {asked.output!r}; this network has {', '.join(network.outputs)}")
    if asked.decoder is None:
        return network
    wanted = asked.decoder not in SPIKE_DECODERS
    changed = [asked.output] if asked.output is not None else [] if _fitting(network, wanted) else list(network.outputs)
    return reading(network, dict.fromkeys(changed, wanted))


def declared(network: Network, asked: Reading) -> dict[str, Output]:
    """The outputs by name, without the values of their units; the network as of `read_as`.

    Raises:
        InputError: spikes are to be counted in a population that never fires, or a population code does not fit.
    """
    decides = decision(network, asked)
    outputs = {name: Output(network.outputs[name], _decoder(network, name, asked), network.classes.get(name)) for name in network.outputs}
    for name, output in outputs.items():
        if network.populations[output.node].is_readout and name == decides and asked.decoder in SPIKE_DECODERS:
            raise InputError(f"output {name!r} is the membrane of {output.node!r}, which never fires; use a membrane decoder")
    if asked.num_classes is None:
        return outputs
    if decides is None:
        raise InputError(f"num_classes is of one output: name one of {', '.join(outputs)}")
    return outputs | {decides: replace(outputs[decides], num_classes=asked.num_classes)}


def decision(network: Network, asked: Reading) -> str | None:
    """The output that classes are read from; None where several read different neurons and none is named."""
    if asked.output is not None:
        return asked.output
    if len(network.outputs) == 1 or len({*network.outputs.values()}) > 1:
        fitting = _fitting(network, asked.decoder not in SPIKE_DECODERS) if asked.decoder is not None else list(network.outputs)
        return fitting[0] if len(fitting) == 1 else None
    membranes = asked.decoder not in SPIKE_DECODERS if asked.decoder is not None else _last_spikes(network)
    return next(iter(_fitting(network, membranes)), next(iter(network.outputs)))


def _last_spikes(network: Network) -> bool:
    """Whether the spikes that are returned are those of the last step, which no decoder reads, or of neurons that never fire, so that
    classes are better read from what is returned beside them."""
    spikes = _fitting(network, False)
    silent = {name for name in spikes if network.populations[network.outputs[name]].is_readout}
    return bool(spikes) and all(network.readings.get(name) == LAST or name in silent for name in spikes)


def with_stock_membranes(network: Network, asked: Reading, target: Target) -> Network:
    """The network for a target without microcode: a membrane that is read beside spikes by which classes are decided is that after a reset
    at once, which costs no spike."""
    if "B" in target.tiers or decision(network, asked) in network.membranes:
        return network
    stored = [name for name in sorted(network.read_voltages) if network.populations[name].reset == "zero_stored"]
    at_once = {name: replace(network.populations[name], reset="zero") for name in stored}
    reason = "a stock neuron resets at once; one that keeps its voltage for a step, as the model does, is tier B"
    entries = tuple(LedgerEntry(name, "its membrane is read after its reset", reason, "no spike changes") for name in stored)
    return replace(network, populations={**network.populations, **at_once}, ledger=network.ledger + entries) if stored else network


def _fitting(network: Network, membranes: bool) -> list[str]:
    return [name for name in network.outputs if (name in network.membranes) == membranes]


def _decoder(network: Network, name: str, asked: Reading) -> Decoder:
    reads_membrane = name in network.membranes
    if asked.decoder is not None and (asked.decoder not in SPIKE_DECODERS) == reads_membrane:
        return asked.decoder
    if not reads_membrane:
        return "spike_count"
    return OF_READING.get(network.readings.get(name, ""), "membrane_sum")


def with_units(outputs: Mapping[str, Output], network: Network, scales: Mapping[str, float]) -> dict[str, Output]:
    """The outputs that read membranes with what a unit of theirs is worth.

    scales: by population, K as of `Fit`.
    """
    return {name: _valued(output, network.populations[output.node], scales) for name, output in outputs.items()}


def _valued(output: Output, population: Population, scales: Mapping[str, float]) -> Output:
    if not output.reads_membrane:
        return output
    return replace(output, unit=1.0 / (scales[output.node] * (1 << ALIGN_BITS)), offset=_offset(population.origin))


def _offset(origin: NDArray[np.float64] | None) -> float | tuple[float, ...]:
    if origin is None or not origin.size:
        return 0.0
    return float(origin.flat[0]) if (origin == origin.flat[0]).all() else tuple(origin.ravel().tolist())
