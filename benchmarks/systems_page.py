"""The figures of `benchmarks.systems` for people: rows of tables, and those of docs/systems.md, between two marks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fd_fusion_page import replace_figures, table
from snnfuse.hardware.chip import LIMITS

PAGE = "systems.md"
BEGIN, END = "<!-- figures: written by python -m benchmarks.systems --docs docs -->", "<!-- end of figures -->"
Found = Mapping[str, Any]
Table = tuple[Sequence[str], Sequence[str]]


def write_page(folder: Path, found: Mapping[str, Found]) -> None:
    """Replace what lies between the marks of the page.

    Raises:
        InputError: the page is missing, or does not hold both marks.
    """
    replace_figures(folder / PAGE, BEGIN, END, figures(list(found.values())))


def figures(found: Sequence[Found]) -> str:
    """All tables, Markdown."""
    titles = ("**What it takes.**", "**What an inference costs,** modelled.", "**Compiling it here.**")
    by_network = list(zip(*map(cells, found)))
    parts = []
    for title, tables in zip(titles, by_network):
        parts.append(f"{title}\n\n{table(tables[0][0], [row for _, row in tables])}\n")
    parts.append(f"**What decides the number of cores.**\n\n{table(LIMIT_HEAD, [row for each in found for row in limit_rows(each)])}\n")
    parts += [f"**{each['title']}** {'; '.join(remarks(each))}.\n" for each in found]
    return "\n".join(parts)


def cells(found: Found) -> Iterator[Table]:
    """A network's row of each table, under its head."""
    yield _chip(found)
    yield _inference(found)
    yield _compiling(found)


def _chip(found: Found) -> Table:
    head = (
        "network", "parameters", "neurons in tier A / B", "the host sends / reads", "weights stored", "synapse memory", "cores",
        "cores, tight / at least", "chips", "board",
    )  # fmt: skip
    return head, (
        found["title"],
        f"{found['parameters']:,}",
        f"{found['tiers']['A']:,} / {found['tiers']['B']:,}",
        f"{found['host_sends']:,} / {found['host_reads']:,}",
        f"{found['weights']:,}",
        f"{found['synapse_bytes'] / 2**20:.1f} MiB",
        f"{found['cores']:,}",
        f"{found['cores_tight']:,} / {found['least_cores']:,}",
        f"{found['chips']}",
        found["board"],
    )


def _inference(found: Found) -> Table:
    head = (
        "network", "steps + latency", "spikes per neuron and step", "operations", "messages per step, across chips",
        "dynamic mJ, Loihi 1 silicon", "dynamic mJ, free-running", "total mJ, free-running", "ms, Loihi 1 silicon", "ms, free-running",
        "latency, ms",
    )  # fmt: skip
    first, second = found["models"]
    return head, (
        found["title"],
        f"{found['steps']} + {found['latency']}",
        f"{found['rate']:.3f}",
        f"{found['operations'] / 1e6:.0f} M",
        f"{found['messages_per_step']:,.0f}, {found['between_chips']:.0%}",
        *(thousandths(model[key]) for model, key in ((first, "dynamic_uj"), (second, "dynamic_uj"), (second, "total_uj"))),
        *(thousandths(model["time_us"]) for model in (first, second)),
        thousandths([min(m["latency_us"][0] for m in (first, second)), max(m["latency_us"][1] for m in (first, second))]),
    )


def thousandths(bounds: Sequence[float]) -> str:
    """A range of thousandths of a unit, in that unit."""
    return " to ".join(f"{value / 1e3:.4g}" if value < 1e6 else f"{value / 1e3:,.0f}" for value in bounds)


def _compiling(found: Found) -> Table:
    seconds = found["seconds"]
    head = ("network", *seconds, "peak memory")
    return head, (found["title"], *(f"{value:.1f} s" for value in seconds.values()), f"{found['peak_bytes'] / 1e9:.1f} GB")


LIMIT_HEAD = ("network", "limit", "cores of layers that it decides", "most of one layer")


def limit_rows(found: Found) -> Iterator[Sequence[str]]:
    """By limit, the most cores first."""
    for name, row in sorted(found["limits"].items(), key=lambda item: -item[1]["cores"]):
        most = f"`{row['layer']}`: {row['layer_cores']} for {row['layer_neurons']:,} neurons"
        yield found["title"], LIMITS[name].what, f"{row['cores']}", most


def remarks(found: Found) -> Iterator[str]:
    """What a table has no room for, sentences without their ends."""
    kinds = f" ({', '.join(found['kinds_b'])})" if found["kinds_b"] else ""
    yield f"{found['tiers']['B'] / found['neurons']:.1%} of the neurons are in tier B{kinds}"
    longest, without = found["delays"]["longest"], found["delays"]["cores_without"]
    yield f"no connection waits longer than {longest} steps, and if waiting took no room there would be {without:,} cores"
    yield f"silent on these inputs: {', '.join(found['silent']) or 'no layer'}"
    if found["refused"]:
        yield f"the next smaller board refuses it: *{found['refused']}*"
