"""Time and energy of published runs of Loihi 2, modelled beside what was measured.

    python -m benchmarks.published              # each row judged by a fit that it is left out of
    python -m benchmarks.published --fit        # the constants that all rows together give
    python -m benchmarks.published --docs docs  # the figures of docs/energy.md

A row of `benchmarks.published_runs` is rebuilt from what is public of it and counted. A free-running row is judged: the constants are
fitted on all other rows, and the interval is as wide as the errors of the other rows ask for. Rows fed by the host are fitted, and say so.
A row outside its interval is shown as missed. `by others` leaves out all rows of the publication, which is harder.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.fd_fusion_page import replace_figures, table
from benchmarks.published_fit import Numbers, fit
from benchmarks.published_runs import FREE, HOST, NOT_REBUILT, Run, runs
from snnfuse.commands.console import Console, json_option
from snnfuse.hardware.energy.constants import MODELLED
from snnfuse.hardware.energy.models import Estimate, free_running, host_fed
from snnfuse.report.tables import table as text_table

SIGMAS = 2.5  # an interval is the median times and over exp(SIGMAS * root mean square of the other rows' logarithmic errors)
BEGIN, END = "<!-- figures: written by python -m benchmarks.published --docs docs -->", "<!-- end of figures -->"


@dataclass(frozen=True, eq=False)
class Judged:
    """A row beside what the model says of it.

    Attributes:
        run: the row.
        us, uj: microseconds and microjoules per inference, modelled.
        family_us, family_uj: the same by a fit without any row of its publication.
    """

    run: Run
    us: float
    uj: float
    family_us: float
    family_uj: float

    @property
    def published_us(self) -> float:
        """Microseconds per inference."""
        return self.run.step_us * self.run.steps

    @property
    def published_uj(self) -> float | None:
        """Microjoules per inference; None where no power is published."""
        return None if self.run.total_w is None else self.run.total_w * self.published_us


def judge(rows: Sequence[Run]) -> list[Judged]:
    """Return every row, modelled by constants that were fitted on the others, or on all where it is fed by the host."""
    whole, found = fit(rows), []
    for row in rows:
        single = whole if row.regime == HOST else fit(others(rows, row))
        family = fit(others(rows, row, family=True))
        found.append(Judged(row, *per_inference(row, single), *per_inference(row, family)))
    return found


def others(rows: Sequence[Run], row: Run, family: bool = False) -> list[Run]:
    """Return the rows of a fit for one: all but it, or all but those of its publication."""
    return [each for each in rows if each is not row and not (family and each.family == row.family)]


def per_inference(row: Run, numbers: Numbers) -> tuple[float, float]:
    """Return modelled microseconds and microjoules."""
    activity = row.activity()
    median = modelled(row, numbers).median
    return median["time_us"] / activity.steps * row.steps, median["total_uj"] / activity.steps * row.steps


def modelled(row: Run, numbers: Numbers) -> Estimate:
    """Return the estimate of the row's regime."""
    activity = row.activity()
    return free_running(activity, numbers) if row.regime == FREE else host_fed(activity, True, numbers)


def spread(errors: Sequence[float]) -> float:
    """Return the factor of an interval for logarithmic errors of other rows, rounded up to two digits."""
    return float(np.ceil(10 * np.exp(SIGMAS * np.sqrt(np.mean(np.square(errors)))))) / 10


def judged_rows(found: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return a row of figures for each: medians, intervals, and whether they hold what was published."""
    time = [float(np.log(each.us / each.published_us)) for each in found]
    energy = [float(np.log(each.uj / each.published_uj)) if each.published_uj else None for each in found]
    rows = []
    for i, each in enumerate(found):
        free = [j for j in range(len(found)) if j != i and found[j].run.regime == FREE]
        rows.append(_figures(each, spread([time[j] for j in free]), spread([e for j in free if (e := energy[j]) is not None])))
    return rows


def _figures(each: Judged, time_factor: float, energy_factor: float) -> dict[str, Any]:
    run, published = each.run, each.published_uj
    time, energy = (each.us / time_factor, each.us * time_factor), (each.uj / energy_factor, each.uj * energy_factor)
    found: dict[str, Any] = {"run": run.name, "family": run.family, "network": run.network, "regime": run.regime}
    found["constants"] = "judged" if run.regime == FREE else "fitted"
    found |= {"cores": run.activity().cores, "published_cores": run.cores}
    found |= {"us": each.us, "us_low": time[0], "us_high": time[1], "published_us": each.published_us}
    found |= {"us_ratio": each.us / each.published_us, "us_ratio_family": each.family_us / each.published_us}
    found["us_inside"] = time[0] <= each.published_us <= time[1]
    found |= {"uj": each.uj, "uj_low": energy[0], "uj_high": energy[1], "published_uj": published}
    found |= {"uj_ratio": each.uj / published if published else None, "uj_ratio_family": each.family_uj / published if published else None}
    found["uj_inside"] = None if published is None else energy[0] <= published <= energy[1]
    return found | {"inside": found["us_inside"] and found["uj_inside"] is not False, "source": run.source, "assumed": run.assumed}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the catalogue says of the validation: free-running rows, each left out."""
    free = [row for row in rows if row["regime"] == FREE]
    time = [float(np.exp(abs(np.log(row["us_ratio"])))) for row in free]
    energy = [float(np.exp(abs(np.log(row["uj_ratio"])))) for row in free if row["uj_ratio"]]
    found = {"time_factor": spread(np.log(time)), "energy_factor": spread(np.log(energy))}
    for name, errors in (("time", time), ("energy", energy)):
        found |= {f"{name}_rows": float(len(errors)), f"{name}_error": float(np.median(errors)), f"{name}_worst": max(errors)}
    return found


@click.command()
@click.option("--fit", "only_fit", is_flag=True, help="Print the constants that all rows give.")
@click.option("--docs", type=click.Path(path_type=Path, file_okay=False), help="Write the figures of energy.md in this folder.")
@json_option
def main(only_fit: bool, docs: Path | None, json_to: str | None, quiet: bool) -> None:
    """Modelled beside published time and energy."""
    console = Console(json_to, quiet)
    with console.result() as result:
        rows = list(runs())
        numbers = fit(rows)
        found = judged_rows(judge(rows))
        known = summary(found)
        if only_fit:
            result["fitted"] = {group: numbers[group] for group in ("time", "host", "power")} | {"validation": known}
            for group, constants in result["fitted"].items():
                console.say("\n".join(f"{group:11s} {name:16s} {value:.4g}" for name, value in constants.items()))
            return
        result.update({"note": MODELLED, "rows": found, "not_rebuilt": NOT_REBUILT, "summary": known})
        console.say(text_table(HEAD, [cells(row) for row in found]))
        console.say("\n".join(said(found, known)))
        if docs is not None:
            replace_figures(docs / "energy.md", BEGIN, END, page(found, known))


HEAD = (
    "run", "regime", "row is", "cores", "published", "us, modelled", "published", "ratio", "by others",
    "uJ, modelled", "published", "ratio", "by others", "inside",
)  # fmt: skip


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row for people."""
    return (
        row["run"], row["regime"], row["constants"], str(row["cores"]), str(row["published_cores"] or "–"),
        _span(row, "us"), f"{row['published_us']:.4g}", f"{row['us_ratio']:.2f}", f"{row['us_ratio_family']:.2f}",
        _span(row, "uj"), _or_dash(row["published_uj"], ".3g"),
        _or_dash(row["uj_ratio"], ".2f"), _or_dash(row["uj_ratio_family"], ".2f"), "yes" if row["inside"] else "missed",
    )  # fmt: skip


def _span(row: Mapping[str, Any], unit: str) -> str:
    return f"{row[unit]:.3g} ({row[f'{unit}_low']:.3g} to {row[f'{unit}_high']:.3g})"


def _or_dash(value: float | None, digits: str) -> str:
    return "–" if value is None else f"{value:{digits}}"


def said(rows: Sequence[Mapping[str, Any]], known: Mapping[str, float]) -> list[str]:
    """What the table comes to, in sentences."""
    free = [row for row in rows if row["regime"] == FREE]
    inside = [row for row in free if row["inside"]]
    networks = {row["network"] for row in free}, {row["network"] for row in free if not row["inside"]}
    lines = [
        f"free-running: {len(inside)} of {len(free)} rows inside, of {len(networks[0])} networks; "
        f"intervals {known['time_factor'] ** 2:.1f} times wide in time, {known['energy_factor'] ** 2:.1f} in energy; "
        f"median error {known['time_error']:.2f} and {known['energy_error']:.2f}, largest {known['time_worst']:.2f} and "
        f"{known['energy_worst']:.2f}",
        f"median of modelled over published, judged rows: {', '.join(_ratios(free))}",
        f"missed: {', '.join(row['run'] for row in rows if not row['inside']) or 'none'}",
    ]
    return lines + [f"not rebuilt: {name}: {why}" for name, why in NOT_REBUILT.items()]


def _ratios(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """By publication, in time and, where it is known, in energy."""
    for family in dict.fromkeys(row["family"] for row in rows):
        time = np.median([row["us_ratio"] for row in rows if row["family"] == family])
        energy = np.median([row["uj_ratio"] for row in rows if row["family"] == family and row["uj_ratio"]])
        yield f"{family} {time:.2f} in time, {energy:.2f} in energy"


def page(rows: Sequence[Mapping[str, Any]], known: Mapping[str, float]) -> str:
    """The figures of docs/energy.md, Markdown."""
    listed = "\n".join(f"- {line[0].upper()}{line[1:]}." for line in said(rows, known))
    open_points = dict.fromkeys(f"{row['network']}: {row['assumed']}" for row in rows if row["assumed"])
    return f"{table(HEAD, [cells(row) for row in rows])}\n\n{listed}\n\nWhat the descriptions leave open, and was assumed:\n\n" + "".join(
        f"- {point}\n" for point in open_points
    )


if __name__ == "__main__":
    sys.exit(main())
