"""Every pass from a NIR graph to the float network that is rounded, in the order in which `quantize` runs them."""

from snnfuse.export.lowering.legalize import LEGALIZE
from snnfuse.export.lowering.nir_to_network import LOWERING, MAXIMA, MEMBRANES, PRODUCTS, SUBGRAPHS
from snnfuse.export.lowering.out_of_reach import with_silent_neurons
from snnfuse.export.lowering.passes import Pass
from snnfuse.export.lowering.resets import from_rest, with_reset
from snnfuse.export.lowering.split_fan_in import with_relays

RELAYS = Pass("fan-in split", with_relays)
RESET = Pass("reset", with_reset)
SILENT = Pass("silent neurons", with_silent_neurons)
REST = Pass("start at rest", from_rest)


def passes() -> tuple[Pass, ...]:
    """All passes: the first ones are `lower`; products are searched again without those that cannot be proven; "reset" is left out
    where nobody asks for one. Print them for a list; `quantize` and `lower` take `watch`, which gets what each gives."""
    return (SUBGRAPHS, MEMBRANES, MAXIMA, PRODUCTS, *LOWERING, RELAYS, RESET, *LEGALIZE, REST, SILENT)
