"""Random NIR graphs of every kind of node, that are the network they say."""

import itertools
from dataclasses import dataclass, field

import nir
import numpy as np

DT = 1e-4
Shape = tuple[int, ...]


@dataclass
class Builder:
    """A graph while it grows; `spiking` holds the shape of whatever sends spikes or is an input."""

    rng: np.random.Generator
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    spiking: dict[str, Shape] = field(default_factory=dict)

    def add(self, node: nir.NIRNode, *sources: str) -> str:
        name = f"{type(node).__name__.lower()}{len(self.nodes)}"
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def values(self, shape: Shape, low: float, high: float, scalar: bool = True) -> np.ndarray:
        """Per neuron, or one for all, written out for nodes whose parameters must share a shape."""
        one = scalar and self.chance(0.5)
        return np.full(shape, self.rng.uniform(low, high)) if one else self.rng.uniform(low, high, shape)

    # linear nodes

    def linear(self, source: str, shape: Shape) -> tuple[str, Shape]:
        """One linear node, and the shape behind it."""
        kinds = {1: (self.dense,), 2: (self.conv1d, self.flatten), 3: (self.conv2d, self.pool, self.flatten)}[len(shape)]
        kinds += (self.scale, self.delay)
        return kinds[self.rng.integers(len(kinds))](source, shape)

    def dense(self, source: str, shape: Shape, out: int | None = None) -> tuple[str, Shape]:
        out = out or int(self.rng.integers(2, 6))
        weight = self.rng.normal(0.2, 1, (out, shape[0]))
        if self.chance(0.2):
            return self.add(nir.Affine(weight, self.rng.normal(0, 0.2, out)), source), (out,)
        return self.add(nir.Linear(weight), source), (out,)

    def scale(self, source: str, shape: Shape) -> tuple[str, Shape]:
        sizes = (shape, (1,), (1,) * len(shape))
        return self.add(nir.Scale(self.rng.uniform(0.5, 2, sizes[self.rng.integers(3)])), source), shape

    def delay(self, source: str, shape: Shape) -> tuple[str, Shape]:
        steps = self.rng.integers(0, 5, shape) if self.chance(0.5) else np.full(shape, self.rng.integers(0, 8))
        return self.add(nir.Delay(steps * DT), source), shape

    def flatten(self, source: str, shape: Shape) -> tuple[str, Shape]:
        return self.add(nir.Flatten({"input": np.array(shape)}, 0, -1), source), (int(np.prod(shape)),)

    def conv1d(self, source: str, shape: Shape) -> tuple[str, Shape]:
        kernel, stride, padding = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3)), int(self.rng.integers(0, 3))
        weight = self.rng.normal(0.2, 0.7, (3, shape[0], kernel))
        node = nir.Conv1d(shape[1], weight, stride, padding, 1, 1, self.rng.normal(0, 0.1, 3) * self.chance(0.3))
        return self.add(node, source), tuple(node.output_type["output"].tolist())

    def conv2d(self, source: str, shape: Shape) -> tuple[str, Shape]:
        stride, padding, dilation = (2, 1), (1, 0), 1
        if self.chance(0.5):
            stride, padding, dilation = 1, ("same", "valid")[self.rng.integers(2)], int(self.rng.integers(1, 3))
        if min(shape[1:]) < 5:
            padding = "same" if stride == 1 else (2, 2)
        weight = self.rng.normal(0.1, 0.5, (3, shape[0], 3, 3))
        node = nir.Conv2d(shape[1:], weight, stride, padding, dilation, 1, self.rng.normal(0, 0.1, 3) * self.chance(0.3))
        return self.add(node, source), tuple(int(n) for n in node.output_type["output"])

    def pool(self, source: str, shape: Shape) -> tuple[str, Shape]:
        if shape[2] < 3:
            return self.flatten(source, shape)
        kind = (nir.AvgPool2d, nir.SumPool2d)[self.rng.integers(2)]
        name = self.add(kind(np.array([2, 2]), np.array([1, 1]), np.array([1, 0])), source)
        return name, (shape[0], shape[1] + 1, shape[2] - 1)

    # neurons

    def neuron(self, shape: Shape, *sources: str) -> str:
        """A population that spikes."""
        kinds = (self.lif, self.lif, self.cuba, self.integrate, self.behind_current, self.subtracting, self.threshold)
        name = kinds[self.rng.integers(len(kinds))](shape, *sources)
        self.spiking[name] = shape
        return name

    def membrane(self, shape: Shape) -> dict[str, np.ndarray]:
        tau = self.values(shape, 1.2, 20) * DT
        leak = self.values(shape, -0.3, 0.3) if self.chance(0.3) else np.zeros(shape)
        return {"r": tau / DT * self.values(shape, 0.5, 1.5), "v_leak": leak} | {"tau": tau}

    def threshold_of(self, shape: Shape) -> dict[str, np.ndarray]:
        reset = self.values(shape, -0.5, 0.3) if self.chance(0.3) else np.zeros(shape)
        return {"v_threshold": self.values(shape, 0.4, 1.5), "v_reset": reset}

    def lif(self, shape: Shape, *sources: str) -> str:
        return self.add(nir.LIF(**self.membrane(shape), **self.threshold_of(shape)), *sources)

    def cuba(self, shape: Shape, *sources: str) -> str:
        membrane, synapse = self.membrane(shape), self.membrane(shape)
        taus = {"tau_mem": membrane.pop("tau"), "tau_syn": synapse["tau"], "w_in": synapse["r"]}
        return self.add(nir.CubaLIF(**taus, **membrane, **self.threshold_of(shape)), *sources)

    def integrate(self, shape: Shape, *sources: str) -> str:
        return self.add(nir.IF(r=self.values(shape, 0.3, 1) / DT, **self.threshold_of(shape)), *sources)

    def current(self, shape: Shape, *sources: str) -> str:
        tau = self.values(shape, 1.2, 8) * DT
        return self.add(nir.LI(tau=tau, r=tau / DT, v_leak=np.zeros(shape)), *sources)

    def behind_current(self, shape: Shape, *sources: str) -> str:
        return self.lif(shape, self.current(shape, *sources))

    def subtracting(self, shape: Shape, *sources: str) -> str:
        entry = (self.current(shape, *sources),) if self.chance(0.3) else sources
        beta, theta = self.values(shape, 0.3, 0.9), self.values(shape, 0.5, 1.5)
        membrane = self.add(nir.LI(tau=DT / (1 - beta), r=1 / (1 - beta), v_leak=np.zeros(shape)), *entry)
        fires = self.add(nir.Threshold(theta), membrane)
        back = self.add(nir.Scale(-theta * (beta if self.chance(0.5) else 1)), fires)
        self.edges.append((back, membrane))
        return fires

    def threshold(self, shape: Shape, *sources: str) -> str:
        return self.add(nir.Threshold(self.values(shape, -0.5, 1)), *sources)

    def entry(self, name: str) -> str:
        """Where a population's input arrives."""
        before = [s for s, t in self.edges if t == name]
        while isinstance(self.nodes[before[0]], nir.LI):
            name = before[0]
            before = [s for s, t in self.edges if t == name]
        return name

    # wiring

    def feed(self, source: str, shape: Shape, target: str) -> None:
        """A dense path between two populations of any shapes."""
        if len(self.spiking[source]) > 1:
            source, flat = self.flatten(source, self.spiking[source])
        else:
            flat = self.spiking[source]
        name, _ = self.dense(source, flat, shape[0])
        for extra in (self.scale, self.delay):
            if self.chance(0.3):
                name, _ = extra(name, shape)
        self.edges.append((name, target))

    def readout(self, shape: Shape, source: str) -> None:
        kind = self.rng.integers(4)
        tau = self.values(shape, 1.2, 9) * DT
        ones, zeros = np.ones(shape), np.zeros(shape)
        if kind == 0:
            source = self.add(nir.LI(tau, 3 * ones, 0.1 * ones), source)
        elif kind == 1:
            source = self.add(nir.CubaLI(tau, 2 * tau, ones, zeros), source)
        elif kind == 2:
            source = self.add(nir.I(ones / DT), source)
        self.nodes[out := f"out{len(self.nodes)}"] = nir.Output({"output": np.array(shape)})
        self.edges.append((source, out))


def random_graph(seed: int) -> nir.NIRGraph:
    """A few layers, with skips, recurrences, a loop of two populations now and then, and one or more outputs."""
    graphs = (_drawn(seed + (again << 32)) for again in itertools.count())
    return next(graph for graph in graphs if not _is_empty(graph))  # pools and strides may leave a population without neurons


def _is_empty(graph: nir.NIRGraph) -> bool:
    return any(isinstance(value, np.ndarray) and not value.size for node in graph.nodes.values() for value in vars(node).values())


def _drawn(seed: int) -> nir.NIRGraph:
    b = Builder(np.random.default_rng(seed))
    shape = [(4,), (2, 7), (2, 6, 5)][b.rng.integers(3)]
    for i in range(b.rng.integers(1, 3)):
        b.nodes[f"in{i}"] = nir.Input({"input": np.array(shape)})
        b.spiking[f"in{i}"] = shape
    layers = []
    for _ in range(b.rng.integers(1, 4)):
        source = layers[-1] if layers else "in0"
        name, at = source, b.spiking[source]
        for _ in range(b.rng.integers(1, 4)):
            name, at = b.linear(name, at)
        layers.append(b.neuron(at, name))
    name, at = (layers[-1], b.spiking[layers[-1]])
    if len(at) > 1:
        name, at = b.flatten(name, at)
    layers += [b.neuron((3,), b.dense(name, at, 3)[0]) for _ in range(2)]
    for target in (n for n in layers if len(b.spiking[n]) == 1):
        for source in b.spiking:
            if b.chance(0.2) or (source == "in1" and target == layers[-1]):
                b.feed(source, b.spiking[target], b.entry(target))
    b.readout((2,), b.dense(layers[-1], (3,), 2)[0])
    for name in layers[-2:]:
        b.nodes[out := f"out{len(b.nodes)}"] = nir.Output({"output": np.array(b.spiking[name])})
        b.edges.append((name, out))
    return nir.NIRGraph(b.nodes, list(dict.fromkeys(b.edges)), type_check=False)


def random_inputs(graph: nir.NIRGraph, steps: int, batch: int, seed: int) -> dict[str, np.ndarray]:
    """Binary spikes for every input."""
    rng = np.random.default_rng(seed)
    shapes = {name: node.input_type["input"] for name, node in graph.inputs.items()}
    return {name: (rng.random((steps, batch, *shape)) < 0.4).astype(float) for name, shape in shapes.items()}


def lowered_graph(number: int) -> nir.NIRGraph:
    """The random graph of this number among those that hold nothing that is refused: a bias before a delay."""
    for seed in itertools.count(100 * number):
        graph = random_graph(seed)
        delays = [name for name, node in graph.nodes.items() if isinstance(node, nir.Delay)]
        if not any(getattr(node, "bias", np.zeros(1)).any() for node in graph.nodes.values()) or not delays:
            return graph
    raise AssertionError
