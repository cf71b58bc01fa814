"""The first lines of a report: does it do what was trained, what changed most, does it fit, and what to do next."""

import textwrap
from collections.abc import Iterator, Sequence

from snnfuse.hardware.ir.fixed_point import WEIGHT_BITS
from snnfuse.report.rows import Json
from snnfuse.report.sections import count, energy_line, warnings_of

WIDTH = 80
TUNED = "tuned without labels, as asked for"  # in the ledger; a test compares
MUCH = 0.05  # of a layer's spikes, beyond which a repair is offered
SHOWN = 4  # names of layers in a line


def verdict(content: Json) -> list[str]:
    """What a user wants to know first, a line each, at most `WIDTH` columns; what it is wrapped from continues indented.

    Args:
        content: as of `snnfuse.report.sections`: of one program, of a graph, or of several stages.

    Returns:
        Accuracy on the calibration data or, where there are no labels, how many of the output's spikes are the float network's; the layer
        that changed most; cores and tiers; modelled energy; and every warning.
    """
    stages = content.get("stages") or [content]
    lines = sentences(content)
    lines += [f"warning: {text}" for part in ([content] if stages[0] is content else [*stages, content]) for text in warnings_of(part)]
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False)]


def sentences(content: Json) -> list[str]:
    """The lines of `verdict`, whole and without its warnings."""
    stages = content.get("stages") or [content]
    decided = [*_apart(stages[-1]), *_decided(_entries(content, stages)), *_few_bits(content, stages)]
    return [*_accuracy(content, stages), *decided, _listed(_changes(content, stages)), *_board(stages), *_energy(stages)]


def answers(content: Json) -> dict[str, list[str]]:
    """What the page says first: four questions, each with its answer, the first line of which is the answer in short.

    Args:
        content: as of `snnfuse.report.gather`.
    """
    stages = content.get("stages") or [content]
    is_graph = not any(stage.get("tiers") for stage in stages)
    placed = ["a graph holds no program, and nothing was placed"] if is_graph else ["it was not asked: this target is no board"]
    return {
        "Does it do what was trained?": [*tested(content), *_accuracy(content, stages), *_decided(_entries(content, stages))],
        "Was it verified?": ["a graph holds no program to run"] if is_graph else verified(content.get("verified")),
        "Does it fit?": [part for line in _board(stages) for part in line.removeprefix("fits: ").split("; ", 1)] or placed,
        "What changed most?": [line.removeprefix("changed most: ") for line in _changes(content, stages)],
    }


def tested(content: Json) -> list[str]:
    """Accuracy on test data, which calibration data are not; or how to measure it."""
    measured = content.get("modality")
    rows = [row for row in (measured or {}).get("rows", ()) if row["kind"] == "clean"]
    if not rows:
        return ["not measured on test samples", "snnfuse report BUNDLE --data NAME does"]
    parts = [f"{kind} {rows[0][kind]['accuracy']:.2%}" for kind in ("float", "deployed") if rows[0].get(kind)]
    return [f"on {rows[0]['samples']} test samples: {', '.join(parts)}", f"data: {(measured or {}).get('source', '')}"]


def verified(found: Json | None) -> list[str]:
    """When a bundle was verified, on what, and with which result; or how to.

    found: as of `snnfuse.export.bundle.verification.read_verification`.
    """
    if found is None:
        return [
            "not when this page was written",
            "snnfuse verify BUNDLE reruns the golden inputs on the emulator and on Lava and compares every spike of every layer; snnfuse "
            "report BUNDLE then says so here",
        ]
    verdict = "yes: PASSED" if found["passed"] else "it FAILED"
    versions = ", ".join(f"{name} {number}" for name, number in (found.get("packages") or {}).items())
    lines = [f"{verdict} on {found['samples']} golden samples", f"{found['when'].replace('T', ' ')}, {versions}"]
    for check in found["checks"]:
        counts = {name: value for name, value in check.items() if isinstance(value, dict) and "mismatches" in value}
        said = ", ".join(f"{value['mismatches']} of {value['compared']} {name} differ" for name, value in counts.items())
        lines.append(f"{check['backend']}: {said}" + (f"; first: {check['first']}" if check.get("first") else ""))
    return lines


def _accuracy(content: Json, stages: Sequence[Json]) -> Iterator[str]:
    measured, about = content.get("calibration_accuracy"), content.get("calibration")
    if measured:
        what = f"accuracy on {measured['samples']} calibration samples"
        yield f"{what}: float {measured['float']:.2%}, deployed {measured['program']:.2%}"
        if not measured["decoder"].startswith("spike count"):
            yield f"decoder: {measured['decoder']}"
        return
    rows = {row["node"]: row for stage in stages for row in stage.get("layers") or ()}
    outputs = content.get("outputs") or {}
    for node in dict.fromkeys(output["node"] for output in outputs.values()):  # spikes and membrane of one layer are said once
        if about and (row := rows.get(node)):
            yield f"output layer {node}: {_kept(row)}, on {about['samples']} calibration samples without labels"


def _kept(row: Json) -> str:
    """How near a layer is to the float network's."""
    if row["deviation"] is not None:
        return f"membranes within {row['deviation']:.2%} of the float network's"
    return "it never spikes" if row["agreement"] is None else f"{row['agreement']:.2%} of its spikes are the float network's"


def _entries(content: Json, stages: Sequence[Json]) -> Sequence[Json]:
    """The ledger's."""
    return [entry for stage in stages for entry in stage.get("ledger") or ()] if stages[0] is not content else content["ledger"]


def _decided(entries: Sequence[Json]) -> Iterator[str]:
    """What another reset, or tuning, which were asked for, do to the classes."""
    told = (entry for entry in entries if entry.get("change", "").startswith("decided with") or entry.get("reason") == TUNED)
    return (f"{entry['change']}: {entry['effect']}" for entry in told)


def _apart(last: Json) -> Iterator[str]:
    """How near the outputs are, where few spikes need be the same: in a network that is chaotic no hardware keeps them."""
    apart, outputs = last.get("outputs_apart"), last.get("outputs") or {}
    if apart and not all(output["decoder"].startswith("membrane") for output in outputs.values()):
        yield f"outputs: {1 - apart['classes']:.2%} of the classes are the float network's, counts are {apart['values']:.2%} off (rms)"


def _few_bits(content: Json, stages: Sequence[Json]) -> Iterator[str]:
    """What repairs layers of few bits, where they changed much and nobody asked for it."""
    rows = [row for stage in stages for row in stage.get("layers") or () if min(row.get("bits", (WEIGHT_BITS,))) < WEIGHT_BITS]
    tuned = any(entry.get("reason") == TUNED for entry in _entries(content, stages))
    if not tuned and any(_judged(row) and _lost(row) > MUCH for row in rows):
        yield "few bits: an export with tune=True (--tune) repairs them on the same samples, without labels, in minutes"


def _changes(content: Json, stages: Sequence[Json]) -> tuple[str, ...]:
    """The layer that changed most, and how many changes there are in all."""
    entries = _entries(content, stages)
    if not entries:
        return ("changed: nothing",)
    rows = [row for stage in stages for row in stage.get("layers") or ()]
    lost = {row["node"]: _lost(row) for row in rows if _judged(row)}
    if not lost:
        return (f"changed: {count(entries)}",)
    most = max(lost, key=lost.__getitem__)
    what = next("values" if row["deviation"] is not None else "spikes" for row in rows if row["node"] == most)
    return f"changed most: {most}, {lost[most]:.2%} of its {what}", f"{len(entries)} changes in all"


def _listed(changes: Sequence[str]) -> str:
    """In a line, with the option that lists them."""
    if len(changes) == 1:
        return changes[0] + (" (-v)" if changes[0] != "changed: nothing" else "")
    return f"{changes[0]} ({changes[1]}: -v)"


def _lost(row: Json) -> float:
    """What a layer's own rounding changes; in reports of before it was told apart, what all before it does too."""
    if row.get("alone") is not None:
        return row["alone"]
    return row["deviation"] if row["deviation"] is not None else 1 - (row["agreement"] or 0)


def _judged(row: Json) -> bool:
    return row["deviation"] is not None or row["agreement"] is not None


def _board(stages: Sequence[Json]) -> Iterator[str]:
    placed = [stage["resources"] for stage in stages if stage.get("resources")]
    tiers = {name: tier for stage in stages for name, tier in (stage.get("tiers") or {}).items()}
    statuses = {name: status for stage in stages for name, status in (stage.get("tier_status") or {}).items()}
    microcode = [name for name, tier in tiers.items() if tier == "B"]
    assumed = sorted({statuses.get(name, "") for name in microcode} - {""})
    says = (
        f"tier B, neuron microcode ({', '.join(assumed) or 'assumed'}): {_some(microcode)}" if microcode else "stock neurons only (tier A)"
    )
    if placed:
        board = placed[0]["board"]
        yield f"fits: {sum(found['cores'] for found in placed)} of the {board['cores']} cores of {board['name']}; {says}"
    elif tiers:
        yield f"neurons: {says}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _energy(stages: Sequence[Json]) -> Iterator[str]:
    if len(stages) == 1 and (found := stages[0].get("energy")):
        yield f"dynamic energy of an inference, uJ, modelled: {energy_line(found['models'])}"
