"""Energy and time of an inference, in one place: counts, models, sentences, a CPU, NeuroBench's metrics, and the constants; as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfuse.hardware.backends.emulator import emulate
from snnfuse.hardware.chip import Board, count, find_board
from snnfuse.hardware.energy.activity import Activity, measure
from snnfuse.hardware.energy.constants import CATALOGUE, MODELLED
from snnfuse.hardware.energy.metrics import Metrics, MetricsCounter
from snnfuse.hardware.energy.models import Estimate, cpu_uj, free_running, host_fed, loihi1, macs
from snnfuse.hardware.energy.quote import bibtex, sentences
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording

BLOCK = 16  # samples whose every layer is in memory at once


@dataclass(frozen=True, eq=False)
class Energy:
    """What an inference costs.

    Attributes:
        activity: the counts.
        models: free-running, fed by the host once per sample and on every step, and Loihi 1's silicon.
        metrics: NeuroBench's.
        board: that the layers were placed on.
    """

    activity: Activity
    models: tuple[Estimate, ...]
    metrics: Metrics
    board: str

    def to_json(self) -> dict[str, Any]:
        """Everything, with every constant and its source."""
        found = self.activity
        counts = {"steps": found.steps, "samples": found.samples, "latency": found.latency, "operations": found.operations}
        counts |= {"updates": found.updates, "messages": sum(link.messages for link in found.links), "macs": macs(found)}
        said = sentences(found, self.models, self.board)
        return {
            "note": MODELLED,
            "board": self.board,
            "cores": found.cores,
            "chips": found.chips,
            "per_inference": counts,
            "layers": [asdict(layer) for layer in found.populations],
            "connections": [asdict(link) for link in found.links],
            "busiest": _busiest(found),
            "models": [_estimate(each) for each in self.models],
            "quote": said,
            "bibtex": bibtex(said, version("snnfuse")),
            "cpu": {"macs": macs(found), "uj": list(cpu_uj(found))},
            "neurobench": self.metrics.to_json(),
            "constants": {
                group: {name: constant.to_json() for name, constant in constants.items()} for group, constants in CATALOGUE.items()
            },
        }


def energy_of(program: Program, recordings: Iterable[Recording], board: Board | str = "oheo-gulch") -> Energy:
    """Return the modelled cost of an inference, from recordings of every layer.

    Args:
        program: what was run.
        recordings: of record="all", with the events that were fed.
        board: layers are placed on; nothing is refused where it has too few cores.

    Raises:
        InputError: no sample, a layer that was not recorded, numbers of steps that differ, or no such board.
        DoesNotFitError: a layer fits no core, however it is split.
    """
    found = find_board(board)
    metrics = MetricsCounter(program)

    def through() -> Iterator[Recording]:
        for recording in recordings:
            yield recording
            metrics.add(recording)

    activity = measure(program, through(), count(program, found))
    models = free_running(activity), host_fed(activity, False), host_fed(activity, True), loihi1(activity)
    return Energy(activity, models, metrics.metrics(), found.name)


def estimate_energy(program: Program, events: Mapping[str, NDArray], board: Board | str = "oheo-gulch") -> Energy:
    """Run a program on the emulator, in blocks of samples, and say what an inference costs.

    Args:
        program: what to run.
        events: integers (time, batch, *shape) per input, as `program.encode` makes them.
        board: as for `energy_of`.

    Raises:
        As `energy_of`; InputError for events that the program does not take.
    """
    samples = min((np.shape(array)[1] for array in events.values() if np.ndim(array) > 1), default=0)
    starts = range(0, max(samples, 1), BLOCK)
    blocks = ({name: np.asarray(array)[:, start : start + BLOCK] for name, array in events.items()} for start in starts)
    return energy_of(program, (emulate(program, block, "all") for block in blocks), board)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    ranges = {name: getattr(estimate, name) for name in ("dynamic_uj", "static_uj", "total_uj", "time_us", "latency_us")}
    shares = {name: {part: list(x) for part, x in getattr(estimate, name).items()} for name in ("layers", "inputs")}
    described = {"model": estimate.model, "about": f"{estimate.about}; {MODELLED}", "median": dict(estimate.median)}
    described |= {name: None if x is None else list(x) for name, x in ranges.items()}
    return described | shares | {"decided_by": dict(estimate.decided_by)}


def _busiest(activity: Activity) -> dict[str, Any]:
    """Means over steps and samples of what decides the time of a step."""
    busiest = activity.busiest
    operations, reads = (float(array.mean()) if array.size else 0.0 for array in (busiest.operations, busiest.reads))
    return {"layer": busiest.core, "neurons": busiest.stock, "microcode_words": busiest.microcode, "operations": operations,
            "words_read": reads, "link": asdict(busiest.link)}  # fmt: skip
