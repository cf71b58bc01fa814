"""A pipeline's wiring on disk: `pipeline.json`, beside a folder per stage. Loading executes nothing; every field is checked."""

import json
from pathlib import Path
from typing import Any

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.host_steps import read_step, step_record
from snnfuse.hardware.ir.json_fields import at, get, integer, keys, number, read_json, shown, text
from snnfuse.hardware.ir.pipeline import Link, stage_folder

FORMAT, VERSION = "snnfuse pipeline", 1
FILE = "pipeline.json"


def pipeline_text(links: tuple[Link, ...], stages: int) -> str:
    """The content of `pipeline.json`."""
    record = {"format": FORMAT, "format_version": VERSION, "stages": [stage_folder(i) for i in range(stages)]}
    return json.dumps(record | {"links": [link_record(link) for link in links]}, indent=2) + "\n"


def link_record(link: Link) -> dict[str, Any]:
    """A link as JSON."""
    steps = [step_record(step) for step in link.steps]
    named = {"name": link.name, "stage": link.stage, "output": link.output, "reduction": link.reduction}
    return {**named, "steps": steps, "unit": float(link.unit)}


def read_links(folder: str | Path) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Inverse of `pipeline_text`: the links, and the stages' folders.

    Raises:
        InputError: the file is missing, damaged, of another kind or version, or a field holds what no pipeline can; names both.
    """
    path = Path(folder) / FILE
    record = read_json(path)
    try:
        record = keys(record, {"format", "format_version", "stages", "links"})
        if (record["format"], record["format_version"]) != (FORMAT, VERSION):
            raise InputError(f"format and version are {record['format']!r} {record['format_version']!r}, not {FORMAT!r} {VERSION}")
        stages = tuple(get(record, "stages", list))
        if not stages or stages != tuple(stage_folder(i) for i in range(len(stages))):
            raise InputError(f"stages must be {stage_folder(0)}, {stage_folder(1)} and so on, not {shown(list(stages))}")
        return tuple(at(f"links[{i}]", _read_link, link) for i, link in enumerate(get(record, "links", list))), stages
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_link(record: Any) -> Link:
    record = keys(record, {"name", "stage", "output", "reduction", "steps", "unit"})
    texts = {field: at(field, text, record[field], {}) for field in ("name", "output", "reduction")}
    steps = tuple(at(f"steps[{i}]", read_step, step) for i, step in enumerate(get(record, "steps", list)))
    return Link(stage=at("stage", integer, record["stage"], {}), steps=steps, unit=at("unit", number, record["unit"], {}), **texts)
