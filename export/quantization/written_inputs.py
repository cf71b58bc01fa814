"""Static images as biases of the first layer's neurons: the host computes that layer's currents once per sample, in floats."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.export.lowering.network import Network, Population, Projection
from snnfuse.export.lowering.weights import SparseWeights
from snnfuse.export.quantization.exact_fit import GRID
from snnfuse.export.quantization.fitting import Fit, Input, build
from snnfuse.export.quantization.rounding import Form
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.bias_input import LARGEST, BiasedLif, BiasInput
from snnfuse.hardware.ir.fixed_point import ALIGN_BITS, BIAS_EXPONENT_RANGE, NEVER, STATE_LIMIT, WEIGHT_BITS
from snnfuse.hardware.ir.lif import Lif
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.projected_input import ProjectedInput
from snnfuse.hardware.ir.synapses import Diagonal

# A plain choice: the rest is for data louder than the calibration's.
ROOM = 0.9  # of the voltage's range, that calibration data may use
WAY_OUT = "leave encode='bias' out, and it is sent as graded spikes on every step"


@dataclass(frozen=True, eq=False)
class Written:
    """A network whose images have become currents of its first layers.

    Attributes:
        network: each image of the shape of the neurons that it is written to, and connected one to one.
        x: the currents, (time, batch, *shape) by input.
        inputs: declared.
        fits: of those neurons.
        hosts: what encodes the images themselves.
    """

    network: Network
    x: dict[str, NDArray]
    inputs: dict[str, Input]
    fits: Mapping[str, Fit]
    hosts: Mapping[str, ProjectedInput]

    def finished(self, program: Program) -> Program:
        """The program with inputs that take images."""
        return replace(program, nodes={**program.nodes, **self.hosts})


def as_written(network: Network, x: Mapping[str, NDArray], inputs: Mapping[str, Input]) -> Written:
    """Write every static input into the neurons that it reaches.

    Raises:
        UnsupportedError: no input is static, or one reaches neurons whose bias cannot stand for their input; says which and why.
    """
    static = [name for name, values in x.items() if (values == values[:1]).all()]
    if not static:
        name = next(iter(x))
        raise UnsupportedError(f"input {name!r} changes from step to step, and a host writes biases once per sample; {WAY_OUT}")
    written = Written(network, dict(x), dict(inputs), {}, {})
    for name in static:
        written = _with(written, name)
    return written


def _with(found: Written, name: str) -> Written:
    network, leaving = found.network, [p for p in found.network.projections if p.source == name]
    target, population = _only_target(network, name, leaving)
    rows = (population.gain * population.current_gain).ravel()
    total: Any = sum((_listed(p) for p in leaving[1:]), _listed(leaving[0]))
    weights = sparse.csr_matrix(sparse.diags(rows) @ total)
    weights.sort_indices()
    bias = rows * population.bias.ravel() + population.voltage_bias.ravel()
    host = ProjectedInput(population.shape, 1.0, image=network.inputs[name], weights=weights, bias=bias)
    values = host.values(found.x[name])
    plain = replace(
        population,
        gain=np.ones(population.shape), current_gain=np.ones(population.shape),
        bias=np.zeros(population.shape), voltage_bias=np.zeros(population.shape),
    )  # fmt: skip
    fit, unit = _fit(plain, values)
    identity = Projection(name, target, SparseWeights(sparse.identity(population.beta.size, np.float64, "csr")))
    others = tuple(p for p in network.projections if p.source != name)
    network = replace(
        network,
        inputs={**network.inputs, name: population.shape},
        populations={**network.populations, target: plain},
        projections=(*others, identity),
    )
    return Written(
        network,
        {**found.x, name: values},
        {**found.inputs, name: BiasInput(population.shape, unit)},
        {**found.fits, target: fit},
        {**found.hosts, name: replace(host, scale=unit)},
    )


def _only_target(network: Network, name: str, leaving: list[Projection]) -> tuple[str, Population]:
    """The population that an input is written to; UnsupportedError where that is not the same as being sent."""
    targets = sorted({p.target for p in leaving})
    if len(targets) != 1:
        raise UnsupportedError(f"input {name!r} reaches {', '.join(targets) or 'nothing'}, not one layer alone; {WAY_OUT}")
    target, population = targets[0], network.populations[targets[0]]
    others = sorted({p.source for p in network.into(target)} - {name})
    if population.kind != "neuron":
        reason = f"is {'neurons of another kind' if population.kind == 'own' else f'a {population.kind}'}, which have no bias register"
    elif population.alpha is not None:
        reason = "has a synaptic current that fades, and a bias is added to the voltage"
    elif others:
        reason = f"is fed by {', '.join('itself' if source == target else source for source in others)} as well"
    elif any(p.lag for p in leaving):
        reason = "gets it later than it begins, and a bias is there from the first step"
    else:
        return target, population
    raise UnsupportedError(f"{target!r}, which input {name!r} reaches, {reason}; {WAY_OUT}")


def _listed(projection: Projection) -> Any:
    return sparse.csr_matrix(projection.weights.matrix)


def _fit(population: Population, values: NDArray) -> tuple[Fit, float]:
    """The neurons at the finest scale that their registers allow, and the value of one unit of what is written."""
    peak, steps = float(np.abs(values).max(initial=0)), len(values)
    kept = float(population.beta.max(initial=0))
    charge = peak * min(steps, 1 / (1 - kept) if kept < 1 else steps)
    theta = float(np.max(population.theta, where=np.isfinite(population.theta), initial=0))
    largest = max(charge + theta, float(np.finfo(np.float64).tiny))
    most = LARGEST << BIAS_EXPONENT_RANGE[1]
    scale = min(ROOM * STATE_LIMIT / largest, most / peak if peak else np.inf) / (1 << ALIGN_BITS)
    scale = min(scale, (NEVER - 1) / theta) if theta else scale
    exponent = int(np.clip(np.ceil(np.log2(max(peak * scale * (1 << ALIGN_BITS), 1) / LARGEST)), *BIAS_EXPONENT_RANGE))
    fit = build(population, [], [], scale, [])
    if fit is None or not isinstance(fit.lif, Lif):
        raise UnsupportedError(f"no scale lets thresholds of up to {theta:g} and inputs of {peak:g} both fit; {WAY_OUT}")
    lif = fit.lif
    biased = BiasedLif(lif.shape, lif.du, lif.dv, lif.vth, 0, exponent, lif.reset)
    ones = Diagonal(np.ones(population.beta.size, np.int32))
    form = Form((WEIGHT_BITS, WEIGHT_BITS))
    fit = replace(fit, lif=biased, synapses=((ones,),), rounds=(((GRID,),),), forms=(form,), mismatch=0.0)
    return fit, 2.0**exponent / (scale * (1 << ALIGN_BITS))
