"""Programs with L2 normalisation on every step between them, joined to one that normalises in neuron microcode.

A layer of n neurons that sends binary spikes x has |x|**2 = k, the number of spikes of the step, for x**2 = x. Behind it:

    norm       one InverseRoot, fed by a synapse of weight 1 from each of the n     r = gain / sqrt(k)
    product    n Products, of x through an identity and r through weights of 1      y = x r

so y is scale x / |x| in units of scale / gain, and what follows reads it as it would read what a host sends. The layer's sum needs
every neuron's spike, which only messages bring: no public document says that neurons of a core read each other's state. So norm
comes one step behind the layer and product one behind norm, two steps of latency in all, and x waits one in its synapse. NIR has no
node for it: the float graph holds the folded constant, its metadata say what it stands for, and the ledger that the program does more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from snnfuse.export.lowering.graph import fresh_name
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import DELAY_RANGE
from snnfuse.hardware.ir.graded import Product
from snnfuse.hardware.ir.host_steps import Normalise
from snnfuse.hardware.ir.inverse_root import GAIN_BITS, GAIN_RANGE, InverseRoot
from snnfuse.hardware.ir.nodes import Connection, Node
from snnfuse.hardware.ir.pipeline import Link, Pipeline
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.synapses import Dense, Diagonal
from snnfuse.hardware.ledger import Ledger, LedgerEntry

EXTRA_STEPS = 2  # of latency, from a layer to its normalised spikes
HOST = "export with l2='host'"


def join(pipeline: Pipeline) -> Program:
    """One program in the place of a pipeline whose links normalise on every step.

    Raises:
        UnsupportedError: a link that is no L2 of binary spikes on every step, a layer that is read before and behind one, payloads wider
            than an inverse root's, or a path that is too long to be matched; by name.
    """
    nodes: dict[str, Node] = {}
    links: list[Connection] = []
    latency: dict[str, int] = {}
    for number, program in enumerate(pipeline.programs):
        read = [link for link in pipeline.links if link.name in program.inputs]
        start = max((latency[link.name] for link in read), default=0)
        own = {name: node for name, node in program.nodes.items() if name not in {link.name for link in pipeline.links}}
        _check_new(own, nodes, set(pipeline.inputs), number)
        nodes |= own
        latency |= {name: start + program.latency[name] for name in program.neurons} | dict.fromkeys(pipeline.inputs, 0)
        links += [_shifted(c, program, start - latency.get(c.source, start)) for c in program.connections]
        for link in (link for link in pipeline.links if link.stage == number):
            _check_link(link, pipeline)
            source = program.outputs[link.output].node
            gain = _gain(link, pipeline)
            norm = fresh_name(f"{link.name}_norm", nodes, *(p.nodes for p in pipeline.programs))
            nodes |= {norm: InverseRoot((1,), gain), link.name: Product(nodes[source].shape)}
            links += normaliser(source, norm, link.name, int(np.prod(nodes[source].shape)))
            latency[link.name] = latency[source] + EXTRA_STEPS
    last = pipeline.programs[-1]
    return Program(nodes, tuple(links), last.outputs, last.dt, _ledger(pipeline), last.decision)


def normaliser(source: str, norm: str, product: str, size: int) -> Iterator[Connection]:
    """The four synapse groups of one L2: from a layer to its norm and its products, and from the norm to the products."""
    yield Connection(source, norm, Dense(np.ones((1, size), np.int32)))
    yield Connection(source, product, Diagonal(np.ones(size, np.int32)), delay=1, port=0)
    yield Connection(norm, product, Dense(np.ones((size, 1), np.int32)), port=1)


def _check_new(own: Mapping[str, Node], nodes: Mapping[str, Node], inputs: set[str], number: int) -> None:
    for name, node in own.items():
        if name in nodes and name not in inputs and node.is_timed:
            raise UnsupportedError(f"{name}: it is read both before and behind an L2 layer, in stage {number + 1} too; {HOST}")


def _shifted(connection: Connection, program: Program, steps: int) -> Connection:
    """A connection that waits for the stage to begin, where what it reads is there before."""
    if connection.source not in program.inputs:
        return connection
    if connection.delay + steps + connection.lag > DELAY_RANGE[1]:
        raise UnsupportedError(
            f"{connection.source} would wait {connection.delay + steps} steps for {connection.target}, and a synapse delays by "
            f"{DELAY_RANGE[1]} at most; {HOST}"
        )
    return replace(connection, delay=connection.delay + steps)


def _check_link(link: Link, pipeline: Pipeline) -> None:
    program = pipeline.programs[link.stage]
    is_l2 = link.reduction == "steps" and len(link.steps) == 1 and isinstance(link.steps[0], Normalise)
    if not is_l2 or program.outputs[link.output].decoder != "spike_count":
        raise UnsupportedError(f"{link.name}: neuron microcode normalises the binary spikes of each step, and it is something else; {HOST}")


def _gain(link: Link, pipeline: Pipeline) -> int:
    """The payload that stands for the whole length: what a single spike becomes."""
    node = next(program.inputs[link.name] for program in pipeline.programs if link.name in program.inputs)
    if node.limit > GAIN_RANGE[1]:
        reason = f"{node.bits}-bit payloads are wider than the {GAIN_BITS} bits of an inverse root"
        raise UnsupportedError(f"{link.name}: {reason}; give input_bits=17 or fewer")
    return node.limit


def _ledger(pipeline: Pipeline) -> Ledger:
    """The stages' entries but for those of what a host did, and one for every L2."""
    names = {link.name for link in pipeline.links}
    kept = [entry for program in pipeline.programs for entry in program.ledger if entry.node not in names]
    kept = list(dict.fromkeys(kept))  # an input that two stages read is one now
    return (*kept, *(_entry(link, pipeline) for link in pipeline.links))


def _entry(link: Link, pipeline: Pipeline) -> LedgerEntry:
    gain, (step,) = _gain(link, pipeline), link.steps
    change = (
        f"L2 normalised to length {step.scale:g} in neuron microcode, which the graph holds as a constant gain: a spike among k of its "
        f"step becomes round({gain} / sqrt(k)), in units of {step.scale / gain:.4g}, {EXTRA_STEPS} steps later"
    )
    return LedgerEntry(link.name, change, "NIR has no such node; the sum and its root take a step each on the way")
