"""`neuron_microcode.txt` of a bundle: skeletons of the process models that its neurons of tier B need, and their arithmetic.

What is known of such a model in public is its shape: `AbstractNcProcessModel.allocate(self, net)` with `net.neurons_cfg.allocate_ucode`,
`net.neurons.allocate_ucode` and `net.ax_out.allocate`. The text is for a person with Intel's private tools; nothing here runs it.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from snnfuse.hardware.backends import microcode
from snnfuse.hardware.chip.state_memory import state_words
from snnfuse.hardware.chip.tiers import tier
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.ir.fixed_point import MESSAGE_BITS
from snnfuse.hardware.ir.nodes import Neuron
from snnfuse.hardware.ir.program import Program

MICROCODE = "neuron_microcode.txt"
ABOUT = """Neurons of this bundle that need microcode on Loihi 2 (tier B): skeletons of their process models, and their arithmetic.

No microcode of Intel's is public, and nothing below has run on a chip. Their private package has the base class and the assembler.
"""


def microcode_text(program: Program) -> str | None:
    """Return the text for a program's neurons of tier B, a section per kind and reset rule; None where it has none."""
    sections: dict[str, list[str]] = {}
    for name, node in program.neurons.items():
        if tier(node) == "B":
            sections.setdefault(_title(node), []).append(name)
    if not sections:
        return None
    parts = [ABOUT, *_operations(), *(_section(program, title, names) for title, names in sections.items())]
    return "\n".join(parts) + "\n"


def _title(node: Neuron) -> str:
    return type(node).__name__ + "".join(part.capitalize() for part in (node.custom_reset or "").split("_"))


def _operations() -> Iterator[str]:
    yield "Operations\n"
    yield "\n".join(f"    {line.strip()}" for line in (inspect.getdoc(microcode) or "").split("\n\n")[2].splitlines()) + "\n"


def _section(program: Program, title: str, names: list[str]) -> str:
    node = program.neurons[names[0]]
    lines = [f"{title}\n", *(f"    {line}" for line in _model(program, title, names)), "\n    program, once per neuron and step:\n"]
    try:
        lines += [f"        {line}" for line in microcode.pseudo_code(node)]
    except UnsupportedError as error:
        lines += [f"        {error}; its equation:", "", *(f"        {line}".rstrip() for line in _equation(node))]
    return "\n".join([*lines, ""])


def _model(program: Program, title: str, names: list[str]) -> Iterator[str]:
    node = program.neurons[names[0]]
    yield f"class Nc{title}Model(AbstractNcProcessModel):  # lava-loihi"
    yield f'    """Populations {", ".join(f"{name} {tuple(program.neurons[name].shape)}" for name in names)}."""'
    yield ""
    yield "    def allocate(self, net):"
    yield f"        net.neurons_cfg.allocate_ucode(...)  # the program below, assembled; states {', '.join(node.states) or 'none'}"
    yield f"        net.neurons.allocate_ucode(...)  # {state_words(node)} words of 64 bits per neuron, assumed; all states begin at 0"
    yield f"        net.ax_out.allocate(self.shape, num_message_bits={MESSAGE_BITS if node.sends_numbers else 0})"
    for name in names:
        yield f"        # {name}: {_parameters(program.neurons[name])}"


def _parameters(node: Any) -> str:
    """Values by name; those of neurons of their own lie in program.safetensors."""
    known = {field.name: getattr(node, field.name) for field in fields(node) if field.name != "shape"}
    own = "one for each neuron, in program.safetensors"
    return ", ".join(f"{name} = {value if np.ndim(value) == 0 else own}" for name, value in known.items()) or "no parameters"


def _equation(node: Neuron) -> list[str]:
    """The docstring of the kind's module, which begins with its equation."""
    return (sys.modules[type(node).__module__].__doc__ or type(node).__doc__ or "").strip().splitlines()
