"""A whole Program of its populations' fits."""

from collections.abc import Mapping

from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.fitting import Fit, Input, connections, constant_name
from snnfuse.export.quantization.reading import EACH_OWN, Reading, decision, declared, with_units
from snnfuse.hardware.ir.nodes import Constant
from snnfuse.hardware.ir.program import Program


def assemble(network: Network, fits: Mapping[str, Fit], inputs: Mapping[str, Input], asked: Reading = EACH_OWN) -> Program:
    """The whole program, its paths matched in time.

    Raises:
        InputError: as of `snnfuse.export.quantization.reading.declared`.
    """
    nodes = {**inputs, **({constant_name(network): Constant()} if any(fit.bias for fit in fits.values()) else {})}
    nodes |= {name: fit.lif for name, fit in fits.items()}
    links = tuple(c for name, fit in fits.items() for c in connections(network, name, fit))
    outputs = with_units(declared(network, asked), network, {name: fit.scale for name, fit in fits.items()})
    return Program(nodes, links, outputs, network.dt, network.ledger, decision(network, asked) if len(outputs) > 1 else None)
