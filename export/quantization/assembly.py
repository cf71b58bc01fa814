"""A whole Program of its populations' fits."""

from collections.abc import Mapping

from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.fitting import Fit, Input, connections, constant_name
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Constant, Decoder, Output
from snnfuse.hardware.ir.program import Program


def assemble(network: Network, fits: Mapping[str, Fit], inputs: Mapping[str, Input], decoder: Decoder | None = None) -> Program:
    """The whole program, its paths matched in time.

    Raises:
        InputError: spikes are to be counted in a population that never fires.
    """
    nodes = {**inputs, **({constant_name(network): Constant()} if any(fit.bias for fit in fits.values()) else {})}
    nodes |= {name: fit.lif for name, fit in fits.items()}
    links = tuple(c for name, fit in fits.items() for c in connections(network, name, fit))
    outputs = {name: Output(node, decoder or default_decoder(network, node)) for name, node in network.outputs.items()}
    for name, output in outputs.items():
        if network.populations[output.node].is_readout and output.decoder == "spike_count":
            raise InputError(f"output {name!r} is the membrane of {output.node!r}, which never fires; use a membrane decoder")
    return Program(nodes, links, outputs, network.dt, network.ledger)


def default_decoder(network: Network, node: str) -> Decoder:
    """Spike count, or the membrane's sum where the population cannot spike."""
    return "membrane_sum" if network.populations[node].is_readout else "spike_count"
