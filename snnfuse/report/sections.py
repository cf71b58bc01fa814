"""What is said of a compiled network, section by section: the command line and the page show the same ones.

A section is made of a report's JSON, `snnfuse.export.bundle.compiled.Compiled.to_json` or `snnfuse.report.gather`, or there is none.
`register_section` adds one of your own, to both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from snnfuse.report import rows
from snnfuse.report.rows import Json


@dataclass(frozen=True)
class Table:
    """Rows under a head; wrapped: whose cells hold sentences."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    wrapped: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: on the page.
        lines: above the tables.
        tables: in their order.
        notes: below the tables.
        brief: all that an export prints of it; None: everything.
    """

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = field(default=())
    brief: str | None = None


Make = Callable[[Json], Section | None]
SECTIONS: dict[str, Make] = {}
"""What makes each section, by name, in the order in which they are shown."""


def register_section(make: Make) -> Make:
    """Add a section under its function's name; one of the same name is replaced."""
    SECTIONS[make.__name__] = make
    return make


def sections_of(content: Json) -> dict[str, Section]:
    """Every section that a network, or a stage of one, has."""
    made = {name: make(content) for name, make in SECTIONS.items()}
    return {name: section for name, section in made.items() if section is not None}


def warnings_of(content: Json) -> list[str]:
    """What to warn of: data, weights and layers that spoil something.

    An input that was found to overflow is none of it: it is mostly one in which everything fires at once, which no data hold. The section
    on overflow shows it; `snnfuse diagnose` says whether given data overflow, and what that changes.
    """
    return list(content.get("warnings") or ())


def count(entries: Sequence[object]) -> str:
    """How many entries a ledger has, in words."""
    return "1 change of meaning" if len(entries) == 1 else f"{len(entries)} changes of meaning"


@register_section
def ledger(content: Json) -> Section | None:
    """Every change of meaning; of several stages each shows its own."""
    if content.get("stages"):
        return None
    entries, title = content["ledger"], "ledger: what changed its meaning"
    if not entries:
        return Section(title, ("ledger: empty, nothing changed its meaning",))
    cells = [rows.ledger_row(entry) for entry in entries]
    return Section(title, tables=(Table(rows.LEDGER_HEAD, cells, f"ledger: {count(entries)}", wrapped=True),))


@register_section
def cores(content: Json) -> Section | None:
    """Where the layers go."""
    found = content.get("resources")
    if found is None:
        return None
    board, limits = found["board"], {limit["name"]: limit for limit in found["limits"]}
    used = [limits[name] for name in ("cores", "neurons", "synapse_words")]
    said = "; ".join(f"{limit['value']} {limit['what']} ({limit['status']}): {limit['source']}" for limit in used)
    how = "as Intel's compiler does" if found["rule"] == "lava" else "as tightly as the limits allow"
    notes = (
        f"tier of inputs and readouts: {', '.join(_outside(content))}",
        f"{found['cores']} of the {board['cores']} cores of {board['name']}, {found['chips']} of its {board['chips']} chips, "
        f"split {how}; no split needs fewer than {found['least_cores']}",
        f"limits: {said}; all of them: snnfuse map --limits",
        found["note"],
    )
    cells = [rows.core_row(layer, limits, content.get("tier_status") or {}) for layer in found["layers"]]
    return Section("cores", tables=(Table(rows.CORE_HEAD, cells),), notes=notes)


def _outside(content: Json) -> list[str]:
    tiers = content.get("tiers") or {}
    kinds = {1: "spikes from outside"}
    numbers = {True: "written into bias registers, once per sample", False: "graded spikes from outside"}
    inputs = [f"{name} ({kinds.get(node['bits'], numbers['written' in node])}): {tiers.get(name, 'C')}"
              for name, node in (content.get("inputs") or {}).items()]  # fmt: skip
    return inputs + [f"{name} ({node['decoder'].replace('_', ' ')}): C" for name, node in (content.get("outputs") or {}).items()]


@register_section
def tiers(content: Json) -> Section | None:
    """How every node runs."""
    found = content.get("tiers")
    if not found:
        return None
    words = "A: the chip's stock neuron. B: neuron microcode, which is not public. C: on the host. How sure that is stands beside it."
    statuses = content.get("tier_status") or {}  # older reports have none
    cells = [(name, tier, statuses.get(name, "")) for name, tier in found.items()]
    return Section("tiers", (words,), (Table(("node", "tier", "status"), cells),), brief="")


@register_section
def energy(content: Json) -> Section | None:
    """What an inference costs, modelled."""
    found = content.get("energy")
    if found is None:
        return None
    models, counts = found["models"], found["per_inference"]
    by_layer = [m for m in models if m["layers"]]  # a host that feeds the chip costs no layer more
    operations = {layer["name"]: 0.0 for layer in found["layers"]}
    for link in found["connections"]:
        operations[link["target"]] += link["operations"]
    layers = [
        (a["name"], a["tier"], a["cores"], a["updates"], f"{a['spikes']:.0f}", f"{operations[a['name']]:.0f}",
         *(rows.span(m["layers"][a["name"]]) for m in by_layer))
        for a in found["layers"]
    ]  # fmt: skip
    costs = [f"uJ, {m['model']}" for m in by_layer]
    caused = [(name, *(rows.span(m["inputs"][name]) for m in by_layer)) for name in models[0]["inputs"]]
    totals = [(m["model"], *(rows.around(m, name) for name in ("total_uj", "time_us", "latency_us")), rows.span(m["dynamic_uj"]))
              for m in models]  # fmt: skip
    one = f"One inference: {counts['steps']} steps, mean of {counts['samples']} samples, {found['cores']} cores of {found['board']}"
    return Section(
        "energy and time of an inference",
        (f"{found['note']}. {one}",),
        (
            Table(("layer", "tier", "cores", "updates", "spikes", "operations", *costs), layers),
            Table(("input", *costs), caused, "dynamic energy by the input whose spikes cause it"),
            Table(("model", "uJ in all", "time us", "latency us", "dynamic uJ"), totals, "in all, two regimes apart, and a second opinion"),
        ),
        (*rows.busiest(found), *(found.get("quote") or {}).values(), *([found["bibtex"]] if "bibtex" in found else []),
         f"CPU, float32: {found['cpu']['macs']} multiply-accumulates, {rows.span(found['cpu']['uj'])} uJ by a cited table",
         f"NeuroBench's metrics: {rows.in_a_line(found['neurobench'])}"),
        f"dynamic energy of an inference, uJ ({found['note']}): {energy_line(models)}; more: snnfuse energy",
    )  # fmt: skip


def energy_line(models: Sequence[Json]) -> str:
    """Dynamic microjoules by each model that says what layers cost."""
    return ", ".join(f"{m['model']} {rows.span(m['dynamic_uj'])}" for m in models if m["layers"])


@register_section
def layers(content: Json) -> Section | None:
    """A row per population: groups, rounding, agreement, ranges."""
    found = content.get("layers")
    if not found:
        return None
    title = "layers, on the calibration data"
    return Section("layers in integers", tables=(Table(rows.LAYER_HEAD, [rows.layer_row(row) for row in found], title, wrapped=True),))


@register_section
def search(content: Json) -> Section | None:
    """The Pareto front, and what was taken of it."""
    found = content.get("search")
    if not found:
        return None
    halves, taken = found["samples"], found["taken"]
    title = (
        f"search: float {found['float']:.2%}, at most {found['max_drop']:g} points less; fitted on {halves['fitted']} samples, judged by "
        f"{found['judged_by']} of {halves['held_out']} others"
    )
    cells = [rows.search_row(point, taken) for point in found["front"]]
    line = f"Taken: {taken['bytes']} bytes of synapses, {rows.percent(taken['accuracy'])}."
    return Section("search for bit widths", tables=(Table(rows.SEARCH_HEAD, cells, title, wrapped=True),), notes=(line,))


@register_section
def overflow(content: Json) -> Section | None:
    """What may leave its register over all inputs."""
    found = content.get("overflow")
    if found is None:
        return None
    counts, steps = rows.overflow_counts(found), next((row.get("window") for row in found), None)  # absent from older bundles
    line = f"{len(found)} proofs{f', for windows of up to {steps} steps' if steps else ''}: {counts['impossible']} show that no input can"
    line += f" overflow the register, {counts['harmless']} that what may overflow has no effect; for {counts['witnessed']} an input was"
    line += f" found that does, {counts['undecided']} are undecided. None of it happens on the calibration data; where it does, spikes are"
    line += " wrong, and snnfuse diagnose says which"
    cells = [rows.overflow_row(row) for row in found if row["status"] != "impossible"]
    if not cells:
        proved = f"overflow: impossible for every input{f' of up to {steps} steps' if steps else ''} ({len(found)} proofs)"
        return Section("overflow, over all inputs", notes=(line,), brief=proved)
    title = "overflow, over all inputs"
    return Section(title, tables=(Table(rows.OVERFLOW_HEAD, cells, title, wrapped=True),), notes=(line,))


@register_section
def netx(content: Json) -> Section | None:
    """What netx itself would make of a netx file."""
    found, title = content.get("netx_differences"), "netx"
    if found is None:
        return None
    if not found:
        return Section(title, ("netx itself runs this file as it is",))
    said = "netx itself would run something else; this bundle keeps the file"
    return Section(title, tables=(Table(("layer", "netx"), [(e["node"], e["change"]) for e in found], said, wrapped=True),))


@register_section
def samples(content: Json) -> Section | None:
    """What calibrated it, or made its golden vectors, and the accuracy there."""
    lines = [f"{words} {about['source']}: {about['samples']} samples of {about['time_steps']} steps"
             for key, words in (("golden_vectors", "golden vectors from"), ("calibration", "calibrated on"))
             if (about := content.get(key)) and "source" in about]  # fmt: skip
    if content.get("forward"):
        lines.append(f"forward takes {content['forward']}")
    measured = content.get("calibration_accuracy")
    if measured:
        what = "programs with their host" if content.get("stages") else "program"
        lines.append(
            f"accuracy on these {measured['samples']} samples ({measured['decoder']}): "
            f"float {measured['float']:.2%}, {what} {measured['program']:.2%}"
        )
    return Section("calibration", tuple(lines)) if lines else None


@register_section
def host(content: Json) -> Section | None:
    """What is carried between stages."""
    links = content.get("links")
    if not links:
        return None
    return Section("host", [f"host: {link['name']}, from {link['output']} of stage {link['stage'] + 1}: {link['words']}" for link in links])
