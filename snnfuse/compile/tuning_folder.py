"""What a repair has learnt so far, kept so that the same export goes on after a kill with the same result.

A folder holds a file per program that is repaired, named by all that its repair depends on: samples, integers and settings. Each file is
one of torch.save with tensors and containers only, opened with weights_only=True and replaced as a whole, as training keeps its own.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnfuse.hardware.errors import InputError
from snnfuse.hardware.files import write_whole

KIND = "snnfuse tuning"
SUFFIX = ".ckpt"
NAMED_BY = 16  # digits of the identity in a file's name; the whole one is in the file


@dataclass(frozen=True)
class TuningFolder:
    """A `snnfuse.nn.tuning.Memory` on disk."""

    path: Path

    def read(self, identity: str) -> Mapping[str, Any] | None:
        """What was written under this identity; None for nothing.

        Raises:
            InputError: the file is damaged, or none of ours.
            UnsafeFileError: it holds more than tensors and containers.
        """
        from snnfuse.checkpoints.torch_file import read_torch_file

        file = self._file(identity)
        if not file.exists():
            return None
        content = read_torch_file(file, False)
        try:
            if (content["kind"], content["identity"]) != (KIND, identity):
                raise KeyError
            return {"done": int(content["state"]["done"]), "layers": dict(content["state"]["layers"])}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}: not the state of this repair; delete it, and the repair begins anew") from error

    def write(self, identity: str, state: Mapping[str, Any]) -> None:
        """Replace it as a whole; InputError where the folder cannot be written."""
        import torch

        content = io.BytesIO()
        torch.save({"kind": KIND, "identity": identity, "state": dict(state)}, content)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be made ({error.strerror})") from error
        write_whole(self._file(identity), content.getvalue())

    def clear(self) -> None:
        """Delete what was written, and the folder where nothing else is in it."""
        for file in self.path.glob(f"*{SUFFIX}"):
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def _file(self, identity: str) -> Path:
        return self.path / f"{identity[:NAMED_BY]}{SUFFIX}"
