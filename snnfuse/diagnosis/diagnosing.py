"""From "float 97 %, deployed 80 %" to the layer, the step and the cause."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfuse.data.samples import draw_samples, settings_from
from snnfuse.diagnosis.examine import examine
from snnfuse.diagnosis.recorded import read_recorded
from snnfuse.diagnosis.result import Diagnosis
from snnfuse.diagnosis.stages import diagnose_stages
from snnfuse.diagnosis.subject import pair
from snnfuse.hardware.errors import InputError, SnnfuseError
from snnfuse.hardware.ir.encoding import as_inputs
from snnfuse.hardware.ir.program import Program

if TYPE_CHECKING:
    import nir

    from snnfuse.export.bundle.bundle import Bundle

EMBEDDED = ("av-digits",)  # data sets that need no folder
Inputs = ArrayLike | Mapping[str, ArrayLike]


def diagnose(
    deployed: "str | Path | Bundle | Program",
    inputs: Inputs | None = None,
    labels: ArrayLike | None = None,
    *,
    graph: "nir.NIRGraph | None" = None,
    all_layers: bool = False,
    source: str = "",
) -> Diagnosis:
    """Say why a program does something else than the float network that it was made from.

    Args:
        deployed: a bundle, opened or by path, or a Program, which goes with `graph`.
        inputs: float (time, batch, *shape), or {input name: such an array}; by default a bundle's golden inputs, as they were encoded.
        labels: integers (batch,), classes of the only output.
        graph: the float graph of a Program.
        all_layers: restore every layer to float, not only the three blamed most.
        source: what the inputs are, in words.

    Returns:
        Diagnosis, whose `layer`, `cause` and `advice` say it in short; print it for all.

    Raises:
        InputError: a bundle without a float graph, a Program that was made from another one, or inputs that it does not take.
        UnsupportedError: the graph holds what no program can.
    """
    if isinstance(deployed, Program):
        if graph is None or inputs is None:
            raise InputError("a Program is diagnosed beside its float graph, on data: give graph= and inputs=")
        subject = pair(graph, deployed, read_recorded(deployed.ledger))
        return examine(subject, _arrays(deployed, inputs), _labels(labels), "program", source or "given inputs", all_layers)
    bundle = deployed if not isinstance(deployed, (str, Path)) else _open(deployed)
    if bundle.is_staged:
        return diagnose_stages(bundle, inputs, _labels(labels), all_layers, source)
    program = bundle.program
    subject = pair(bundle.graph if graph is None else graph, program, read_recorded(program.ledger, bundle.report))
    subject = replace(subject, data=_calibration(bundle))
    given = golden_inputs(bundle) if inputs is None else _arrays(program, inputs)
    about = source or ("golden inputs" if inputs is None else "given inputs")
    return examine(subject, given, _labels(labels), bundle.path.resolve().name, about, all_layers)


def _open(path: str | Path) -> "Bundle":
    from snnfuse.export.bundle.bundle import read_bundle

    return read_bundle(path)


def _calibration(bundle: "Bundle") -> tuple[dict[str, NDArray], ...]:
    """The samples that calibrated a bundle, drawn again where its report says of which data set of ours; none where they are not here."""
    about = bundle.report.get("calibration") or {}
    drawn, number = about.get("data") or {}, about.get("samples")
    if drawn.get("name") not in EMBEDDED or not isinstance(number, int):
        return ()
    try:
        settings = settings_from({"data_settings": drawn.get("settings")}, str(bundle.path))
        return (draw_samples(drawn["name"], number, settings=settings).named(tuple(bundle.program.inputs)).inputs,)
    except SnnfuseError:
        return ()


def golden_inputs(bundle: "Bundle") -> dict[str, NDArray]:
    """What a bundle's golden inputs stand for, float (time, batch, *shape) by name."""
    return {name: array * bundle.program.inputs[name].scale for name, array in bundle.events.items()}


def _arrays(program: Program, inputs: Inputs) -> dict[str, NDArray]:
    arrays = as_inputs(program.inputs, inputs)
    return {name: arrays[name] for name in program.inputs}


def _labels(labels: ArrayLike | None) -> NDArray | None:
    return None if labels is None else np.asarray(labels)
