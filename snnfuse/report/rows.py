"""Rows of the tables that command line and page share, from a report's JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

LEDGER_HEAD = ("node", "what changed", "because", "measured effect")
LAYER_HEAD = (
    "layer",
    "bits",
    "groups",
    "exponents",
    "range used",
    "scale",
    "rounding",
    "spikes kept",
    "alone",
    "inherited",
    "u, v used",
    "saturated",
)
CORE_HEAD = ("layer", "neurons", "synapses", "bytes", "cores", "parts", "axons in", "axons out", "bound by", "at least", "tier", "status")
OVERFLOW_HEAD = ("layer", "event", "verdict", "where", "bound")
SEARCH_HEAD = ("bytes", "accuracy", "", "bits by layer")


def ledger_row(entry: Json) -> tuple[str, ...]:
    """The cells under `LEDGER_HEAD`."""
    return entry["node"], entry["change"], entry["reason"], entry["effect"] or "not measured"


def layer_row(row: Json) -> tuple[str, ...]:
    """The cells under `LAYER_HEAD`."""
    excitatory, inhibitory = row["bits"]
    bits = str(excitatory) if excitatory == inhibitory else f"+{excitatory} -{inhibitory}"
    kept = "-" if row["agreement"] is None else f"{row['agreement']:.2%}"
    if row["deviation"] is not None:
        kept = f"voltage within {row['deviation']:.2%}"
    states = f"{row['current_used']:.1%}, {row['voltage_used']:.1%}"
    saturated = f"{row['saturated']} weights, v {row['clipped_low']} low, {row['clipped_high']} high"
    own = ", threshold per neuron" if row.get("threshold_per_neuron") else ""  # absent from bundles of before there was any
    groups = (f"{row['groups']}, by sign" if row["by_sign"] else str(row["groups"])) + own
    exponents = ", ".join(map(str, row["exponents"]))
    return (row["node"], bits, groups, exponents, f"{row['weight_range']:.0%}", f"{row['scale']:.6g}", f"{row['rounding']:.2%}", kept,
            *(share(row.get(part)) for part in ("alone", "inherited")), states, saturated)  # fmt: skip


def share(value: float | None) -> str:
    """A share in percent; a dash where it was not measured."""
    return "-" if value is None else f"{value:.2%}"


def core_row(layer: Json, limits: Mapping[str, Json], statuses: Mapping[str, str]) -> tuple[object, ...]:
    """The cells under `CORE_HEAD`; limits: of the board, by name; statuses: how sure each layer's tier is, where it is known."""
    names = ("name", "neurons", "synapses", "memory", "cores", "parts", "axons_in", "axons_out")
    held = tuple(layer[name] for name in names)
    return *held, limits[layer["bound_by"]]["what"], layer["least"], layer["tier"], statuses.get(layer["name"], "")


def overflow_row(row: Json) -> tuple[str, ...]:
    """The cells under `OVERFLOW_HEAD`."""
    low, high = row["interval"]
    found = f"neuron {row['neuron']}, after {row['witness']['steps']} steps" if row["witness"] else f"{row['neurons']} neurons may"
    return row["node"], row["event"], row["status"] + (", harmless" if row["harmless"] else ""), found, f"{low} .. {high}"


def overflow_counts(rows: Sequence[Json]) -> dict[str, int]:
    """How many proofs end how: "impossible", "harmless" (it may happen, without an effect), "witnessed" and "undecided"."""
    counts = {"impossible": 0, "harmless": 0, "witnessed": 0, "undecided": 0}
    for row in rows:
        status = str(row["status"])
        counts["harmless" if row["harmless"] and status != "impossible" else status if status in counts else "undecided"] += 1
    return counts


def search_row(point: Json, taken: Json) -> tuple[str, ...]:
    """The cells under `SEARCH_HEAD`."""
    verdict = "taken" if point == taken else "" if point["accepted"] else "drops too far"
    return str(point["bytes"]), f"{point['accuracy']:.2%}", verdict, ", ".join(f"{n} {_bits(w)}" for n, w in point["weights"].items())


def _bits(weights: Json) -> str:
    bits = str(weights["bits"]) if isinstance(weights["bits"], int) else "+{} -{}".format(*weights["bits"])
    return bits if weights["groups"] == 1 else f"{bits} x{weights['groups']}"


def declared(of: Json) -> list[tuple[str, str, str]]:
    """Rows of inputs or outputs as a manifest declares them: name, shape, and the rest in words."""
    cells = []
    for name, about in of.items():
        if not isinstance(about, Mapping):  # of a bundle that was not written by an export
            cells.append((name, "", str(about)))
            continue
        rest = {key.replace("_", " "): value for key, value in about.items() if key not in ("shape", "node")}
        words = [f"{key} {f'{value:.6g}' if isinstance(value, float) else str(value).replace('_', ' ')}" for key, value in rest.items()]
        layer = [f"layer {about['node']}"] if "node" in about else []
        cells.append((name, " x ".join(map(str, about.get("shape") or ())), ", ".join([*layer, *words])))
    return cells


def percent(value: float | None) -> str:
    """A share as a percentage with two digits; a dash for None."""
    return "–" if value is None else f"{100 * value:.2f} %"


def number(value: float | None) -> str:
    """To four digits, a dash for None."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def span(values: Any) -> str:
    """Both ends of a range, to three digits; a dash for None."""
    return "–" if values is None else f"{values[0]:.3g} to {values[1]:.3g}"


def around(model: Mapping[str, Any], name: str) -> str:
    """A model's figure with its interval; the interval alone in older reports, "not known" where it has no static power."""
    if model.get(name) is None or (name == "total_uj" and model["static_uj"] is None):
        return "not known"
    median = (model.get("median") or {}).get(name)
    return span(model[name]) if median is None else f"{median:.3g} ({span(model[name])})"


def busiest(energy: Mapping[str, Any]) -> Iterator[str]:
    """Which core and which link have most to do, and what decides how long a step takes; nothing in older reports."""
    found, decided = energy.get("busiest"), energy["models"][0].get("decided_by") or {}
    if found is None:
        return
    yield (
        f"busiest core: of layer {found['layer']}, {found['operations']:.4g} operations and {found['words_read']:.4g} words read per step; "
        f"busiest link: {found['link']['where']}, {found['link']['bits']:.4g} bits per step"
    )
    if decided:
        yield f"what decides the time of a step: {', '.join(f'{part} ({share:.0%} of steps)' for part, share in decided.items())}"


def in_a_line(figures: Mapping[str, float]) -> str:
    """Named numbers, one after the other."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in figures.items())
