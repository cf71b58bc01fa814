"""The sentences that a user may put into a paper, and a BibTeX entry whose note says the same."""

from collections.abc import Mapping, Sequence

from snnfuse.hardware.energy.activity import Activity
from snnfuse.hardware.energy.constants import MODELLED, Range, values
from snnfuse.hardware.energy.models import LOIHI1, Estimate


def sentences(activity: Activity, estimates: Sequence[Estimate], board: str) -> dict[str, str]:
    """Return one sentence per regime, by model; the second opinion has none."""
    return {each.model: _sentence(activity, each, board) for each in estimates if each.model != LOIHI1}


def _sentence(activity: Activity, estimate: Estimate, board: str) -> str:
    time = _figure(estimate.median["time_us"], estimate.time_us, 1e-6, "s")
    energy = _figure(estimate.median["total_uj"], estimate.total_uj, 1e-6, "J")
    return (
        f"On {activity.cores} cores of Loihi 2 ({board}), {estimate.model}, an inference of {activity.steps} steps is modelled to take "
        f"{time} and {energy} in all (mean of {activity.samples} sample{'s' if activity.samples > 1 else ''}; {validation()}; {MODELLED})."
    )


def validation() -> str:
    """Return how far the model is from published runs of Loihi 2 that it was not fitted to."""
    known = values("validation")
    return (
        f"over {known['time_rows']:.0f} published runs, each left out of the fit, the model is a factor of {known['time_error']:.2f} from "
        f"the published time in the median and {known['time_worst']:.2f} at most, over {known['energy_rows']:.0f} runs "
        f"{known['energy_error']:.2f} and {known['energy_worst']:.2f} from the energy"
    )


def bibtex(said: Mapping[str, str], version: str) -> str:
    """Return a BibTeX entry for the first regime's sentence."""
    note = next(iter(said.values())).replace("&", r"\&").replace("%", r"\%")
    title = "snnfuse: multimodal spiking networks for Loihi 2"
    return f"@software{{snnfuse,\n  title = {{{title}}},\n  version = {{{version}}},\n  note = {{{note}}}\n}}"


def _figure(median: float, span: Range, scale: float, unit: str) -> str:
    size, prefix = _prefix(median * scale)
    low, middle, high = (_digits(x * scale / size) for x in (span.low, median, span.high))
    return f"{middle} {prefix}{unit} ({low} to {high} {prefix}{unit})"


def _prefix(value: float) -> tuple[float, str]:
    return next(((size, name) for size, name in ((1.0, ""), (1e-3, "m"), (1e-6, "u")) if value >= size), (1e-9, "n"))


def _digits(value: float) -> str:
    """Two digits: more would claim what no interval holds."""
    return f"{value:.2g}" if value < 100 else f"{round(value, -len(str(int(value))) + 2):.0f}"
