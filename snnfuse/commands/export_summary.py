"""What `snnfuse-export` prints of a program, in words and tables."""

from typing import TYPE_CHECKING, Any

from snnfuse.commands.export_net import describe_differences, describe_golden
from snnfuse.commands.map import describe_resources
from snnfuse.commands.tables import wrapped_table

if TYPE_CHECKING:
    from snnfuse.compile.compiled import Compiled
    from snnfuse.hardware.ledger import Ledger


def summary(compiled: "Compiled") -> str:
    """What a person wants to know of a program."""
    parts = [describe_ledger(compiled.program.ledger)]
    if compiled.resources:
        parts.append(describe_resources(compiled.resources, compiled.program))
        parts.append(describe_energy(compiled.report["energy"]))
    parts += describe_quantization(compiled.report)
    if "netx_differences" in compiled.report:
        return "\n".join([*parts, describe_differences(compiled.report), describe_golden(compiled.report)])
    about = compiled.report["calibration"]
    parts.append(f"calibrated on {about['source']}: {about['samples']} samples of {about['time_steps']} steps")
    measured = compiled.report.get("calibration_accuracy")
    if measured:
        parts.append(
            f"accuracy on these {measured['samples']} samples ({measured['decoder']}): "
            f"float {measured['float']:.2%}, program {measured['program']:.2%}"
        )
    return "\n".join(parts)


def describe_quantization(report: dict[str, Any]) -> list[str]:
    """Tables of the layers, a search and the overflow proof; then what to warn of."""
    from snnfuse.commands.quantization_tables import describe_layers, describe_overflow, describe_search, overflow_warning

    parts = [describe(report[key]) for key, describe in (("layers", describe_layers), ("search", describe_search),
                                                          ("overflow", describe_overflow)) if key in report]  # fmt: skip
    overflows = overflow_warning(report.get("overflow", ()))
    return parts + [f"warning: {text}" for text in (*report.get("warnings", ()), *([overflows] if overflows else ()))]


def describe_energy(figures: dict[str, Any]) -> str:
    """A line: what an inference costs by either model."""
    ranges = ", ".join(f"{m['model']} {m['dynamic_uj'][0]:.3g} to {m['dynamic_uj'][1]:.3g}" for m in figures["models"])
    return f"dynamic energy of an inference, uJ ({figures['note']}): {ranges}; more: snnfuse energy"


def count(ledger: "Ledger") -> str:
    """How many entries, in words."""
    return "1 change of meaning" if len(ledger) == 1 else f"{len(ledger)} changes of meaning"


def describe_ledger(ledger: "Ledger") -> str:
    """Every change of meaning, as a table."""
    if not ledger:
        return "ledger: empty, nothing changed its meaning"
    rows = [(e.node, e.change, e.reason, e.effect or "not measured") for e in ledger]
    return wrapped_table(f"ledger: {count(ledger)}", ("node", "what changed", "because", "measured effect"), rows)
