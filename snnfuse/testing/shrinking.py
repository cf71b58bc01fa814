"""The smallest part of a failing run that still fails: fewest samples, then fewest time steps, then fewest layers.

Every candidate is run: nothing is taken to fail because something larger did. Samples follow delta debugging (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002): in the end no single sample can be left out. Steps end where one step
less does not fail.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from numpy.typing import NDArray

from snnfuse.hardware.ir.nodes import Output
from snnfuse.hardware.ir.program import Program

ATTEMPTS = 100  # runs that shrinking may take; what is smallest by then is kept

Fails = Callable[[tuple[int, ...], int], bool]


@dataclass(frozen=True)
class Part:
    """Of a run.

    Attributes:
        samples: positions along the batch axis.
        steps: the first so many time steps.
    """

    samples: tuple[int, ...]
    steps: int


def shrink(whole: Part, fails: Fails, suspect: Part | None = None, attempts: int = ATTEMPTS) -> Part:
    """The smallest part that still fails.

    Args:
        whole: fails.
        fails: whether some samples, in their first so many steps, do.
        suspect: one sample and a number of steps at which a difference was seen; tried first.
        attempts: how often `fails` may be asked.
    """
    left = attempts

    def limited(samples: tuple[int, ...], steps: int) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(samples, steps)

    samples = fewest_samples(whole.samples, lambda some: limited(some, whole.steps), suspect.samples if suspect else ())
    return Part(samples, fewest_steps(whole.steps, lambda steps: limited(samples, steps), suspect.steps if suspect else 0))


def fewest_samples(samples: tuple[int, ...], fails: Callable[[tuple[int, ...]], bool], suspect: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Those that must be run together to fail; none of them can be left out."""
    if suspect and len(suspect) < len(samples) and fails(suspect):
        samples = suspect
    parts = 2
    while len(samples) > 1:
        chunks = _split(samples, parts)
        without = [tuple(s for s in samples if s not in chunk) for chunk in chunks] if parts > 2 else []
        smaller = next((some for some in (*chunks, *without) if fails(some)), None)
        if smaller is not None:
            parts = 2 if smaller in chunks else max(2, parts - 1)
            samples = smaller
        elif parts < len(samples):
            parts = min(len(samples), 2 * parts)
        else:
            break
    return samples


def _split(samples: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    size = -(-len(samples) // parts)
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def fewest_steps(steps: int, fails: Callable[[int], bool], suspect: int = 0) -> int:
    """A number of steps that fails while one step less does not; found at once where `suspect` is that number."""
    if 0 < suspect < steps and fails(suspect):
        steps = suspect
    passing = 0  # no step at all cannot fail
    if steps > 1 and not fails(steps - 1):
        return steps
    while steps - passing > 1:
        middle = (passing + steps) // 2
        if fails(middle):
            steps = middle
        else:
            passing = middle
    return steps


def cone(program: Program, node: str) -> Program:
    """The part of a program that decides what a node does: the node and everything before it, with the outputs that are among them."""
    kept, waiting = {node}, [node]
    while waiting:
        sources = {connection.source for connection in program.into(waiting.pop())} - kept
        kept |= sources
        waiting += sorted(sources)
    outputs = {name: output for name, output in program.outputs.items() if output.node in kept}
    return replace(
        program,
        nodes={name: value for name, value in program.nodes.items() if name in kept},
        connections=tuple(c for c in program.connections if c.target in kept),
        outputs=outputs or {node: Output(node)},
        decision=program.decision if program.decision in outputs else None,
    )


def select(arrays: Mapping[str, NDArray], samples: Sequence[int], steps: int) -> dict[str, NDArray]:
    """The same part of each array (time, batch, *shape)."""
    return {name: array[:steps, list(samples)] for name, array in arrays.items()}
