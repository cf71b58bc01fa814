"""How well embeddings tell classes apart, in angles: intra-class compactness and inter-class separability.

The claim of FD-fusion ("Spiking Neural Network Feature Discrimination Boosts Modality Fusion", Oikonomou, Kansizoglou, Gasteratos, 2025)
is that embeddings on a hypersphere, compact within a class and far apart between classes, fuse better. Here it becomes three figures. Let
e_i be the spike counts of a layer over the window of sample i, x_i = e_i / |e_i| its direction, y_i its class, and m_c the mean of the
x_i of class c, whose direction is the class's mean direction (Mardia and Jupp, Directional Statistics, 2000, section 9.2).

    compactness    mean over i of angle(x_i, m_{y_i})             degrees; smaller is more compact
    separability   mean over pairs c < d of angle(m_c, m_d)       degrees; larger is further apart; the smallest of them beside it
    fisher         sum_c n_c |m_c - m|^2 / sum_i |x_i - m_{y_i}|^2, m the mean of all x_i
                   tr S_B / tr S_W of the directions (Fukunaga, Introduction to Statistical Pattern Recognition, 1990, section 10.2)

A layer that stays silent for a sample has no direction: such samples are left out and counted, never taken for an angle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.energy.activity import FUSED, origins
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.graded import Relay
from snnfuse.hardware.ir.pipeline import Pipeline, as_pipeline, layer_name
from snnfuse.hardware.ir.program import Program

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Discrimination:
    """Figures of one layer's embeddings; None where there is nothing to take an angle of.

    Attributes:
        samples: that were given.
        silent: of these, without a spike, and left out.
        classes: with a mean direction.
        compactness: mean angle to the own class's mean direction, degrees in [0, 180].
        separability: mean angle between two classes' mean directions, degrees.
        smallest: the smallest of these angles, degrees.
        nearest: the two classes that it lies between, the lower label first.
        fisher: scatter between over scatter within classes; None too where all samples of each class point the same way.
    """

    samples: int
    silent: int
    classes: int
    compactness: float | None
    separability: float | None
    smallest: float | None
    nearest: tuple[int, int] | None
    fisher: float | None

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        found = asdict(self)
        return found | {"nearest": None if self.nearest is None else list(self.nearest)}


def discriminate(embeddings: NDArray, labels: NDArray) -> Discrimination:
    """The figures of some samples.

    Args:
        embeddings: numbers (samples, *shape), such as spike counts.
        labels: whole numbers (samples,).

    Raises:
        InputError: no sample, other labels than samples, or values that are not finite.
    """
    if not np.size(embeddings) or np.shape(labels) != (len(embeddings),) or not np.isfinite(embeddings).all():
        shapes = f"{np.shape(embeddings)} and {np.shape(labels)}"
        raise InputError(f"embeddings must be finite numbers of at least one sample, with a label each; their shapes are {shapes}")
    flat = np.asarray(embeddings, np.float64).reshape(len(embeddings), -1)
    length = np.linalg.norm(flat, axis=1)
    x, y = flat[length > 0] / length[length > 0, None], np.asarray(labels)[length > 0]
    classes, own = np.unique(y, return_inverse=True)
    means = np.zeros((len(classes), x.shape[1]))
    np.add.at(means, own, x)
    sizes = np.bincount(own, minlength=len(classes))
    means /= np.maximum(sizes, 1)[:, None]
    between = angles(*(means[i] for i in np.triu_indices(len(classes), 1)))
    closest = None if not between.size else np.stack(np.triu_indices(len(classes), 1), 1)[between.argmin()]
    return Discrimination(
        samples=len(flat),
        silent=int((length == 0).sum()),
        classes=len(classes),
        compactness=float(angles(x, means[own]).mean()) if len(x) else None,
        separability=float(between.mean()) if between.size else None,
        smallest=float(between.min()) if between.size else None,
        nearest=None if closest is None else (int(classes[closest[0]]), int(classes[closest[1]])),
        fisher=_fisher(x, means, own, sizes),
    )


def angles(a: NDArray, b: NDArray) -> Floats:
    """Degrees between rows of a and b, (n, d) each and none zero: 2 atan2(|u - v|, |u + v|) of the unit vectors u and v.

    Exact for equal and for orthogonal vectors, where an arc cosine loses half of the digits (Kahan, How Futile are Mindless Assessments of
    Roundoff, 2006, section 12).
    """
    u, v = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    return np.degrees(2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1)))


def _fisher(x: Floats, means: Floats, own: NDArray, sizes: NDArray) -> float | None:
    within = ((x - means[own]) ** 2).sum()
    if len(means) < 2 or within == 0:
        return None
    return float((sizes[:, None] * (means - x.mean(0)) ** 2).sum() / within)


def embedding_nodes(program: Program | Pipeline, chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which layers are the embeddings, node by what it embeds.

    Args:
        program: of an exported network, whose nodes are named after the modules that the network was made of; of several, as
            stage1/node and so on.
        chosen: nodes by a name for each. None: for every input, under its name, the last hidden layer that only this input's events reach
            and that all of them pass on their way to the outputs; and as "fused" the last hidden one that all events of all inputs pass.
            Where there is no such layer, as where tokens go several ways, there is no such row: choose one. A layer that a host reads for
            later stages is hidden; what it carries is another stage's input. Relays, which add numbers up for others, are no embeddings.

    Raises:
        InputError: a chosen node is no layer of the program.
    """
    pipeline = as_pipeline(program)
    if chosen is not None:
        layers = [layer_name(len(pipeline.programs), i, name) for i, each in enumerate(pipeline.programs) for name in each.neurons]
        unknown = [node for node in chosen.values() if node not in layers]
        if unknown:
            raise InputError(f"{unknown[0]!r} is no layer of this program; there are {', '.join(layers)}")
        return dict(chosen)
    found: dict[str, str] = {}
    for i, each in enumerate(pipeline.programs):
        outputs = {output.node for output in each.outputs.values()} if i == len(pipeline.programs) - 1 else set()
        found |= {origin: layer_name(len(pipeline.programs), i, node) for origin, node in _last_layers(each, outputs).items()}
    return found


def _last_layers(program: Program, outputs: set[str]) -> dict[str, str]:
    """Of one program, by the input that reaches it; layers in `outputs` are no embeddings."""
    reached = origins(program)
    hidden = [name for name, node in program.neurons.items() if name not in outputs and not isinstance(node, Relay)]
    last_first = [name for name in reversed(program.order) if name in hidden]
    found: dict[str, str] = {}
    for origin in (*program.inputs, FUSED):
        sources = set(program.inputs) if origin == FUSED else {origin}
        passed = (name for name in last_first if reached[name] == origin and not _goes_around(program, name, sources))
        if (name := next(passed, None)) is not None:
            found[origin] = name
    return found


def _goes_around(program: Program, layer: str, sources: set[str]) -> bool:
    """Whether an event of one of the sources can reach an output without passing a layer."""
    met = sources - {layer}
    for name in program.order:
        if name != layer and any(connection.source in met for connection in program.into(name)):
            met.add(name)
    return any(output.node in met for output in program.outputs.values())
