"""What a training runs on."""

import os
from dataclasses import dataclass

from snnfuse.hardware.errors import EnvironmentProblem, InputError

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = ("32", "bf16-mixed", "16-mixed")
INSTALL = "pip install 'snnfuse[train]'"


@dataclass(frozen=True)
class Compute:
    """What a training runs on.

    Attributes:
        accelerator: "cpu", "gpu", or "auto": a GPU where torch finds one.
        devices: processes; each takes a GPU, or shares the processor. Lightning starts the others as copies of this program.
        precision: "32"; "bf16-mixed", or on GPUs "16-mixed": matrix products in 16 bits, everything else and all weights in 32.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32"

    def __post_init__(self) -> None:
        for name, allowed in (("accelerator", ACCELERATORS), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.devices < 1:
            raise InputError(f"devices must be at least 1, not {self.devices}")

    def resolved(self) -> "Compute":
        """Return the same settings with "auto" decided.

        Raises:
            EnvironmentProblem: too few GPUs.
            InputError: "16-mixed" on a processor, which has no arithmetic in float16.
        """
        import torch

        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        chosen = self.accelerator if self.accelerator != "auto" else ("gpu" if found else "cpu")
        if chosen == "gpu" and found < self.devices:
            raise EnvironmentProblem(f"{self.devices} GPUs asked for, but torch finds {found}; lower devices, or take accelerator='cpu'")
        if chosen == "cpu" and self.precision == "16-mixed":
            raise InputError("precision 16-mixed needs a GPU: take bf16-mixed or 32 on a processor")
        return Compute(chosen, self.devices, self.precision)

    def place(self) -> str:
        """Return the device on which torch evaluates the trained network."""
        gpu = self.resolved().accelerator == "gpu"
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpu else "cpu"


def require_lightning() -> None:
    """EnvironmentProblem, with the command that installs it, where Lightning is missing."""
    from importlib.util import find_spec

    missing = [name for name in ("lightning", "tensorboard") if find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(f"training needs {' and '.join(missing)}, which is not installed: {INSTALL}")


def is_main() -> bool:
    """Return True in the process that writes and reports, False in one that it started to share the work."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
