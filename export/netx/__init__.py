"""netx files (`.net`, HDF5), which lava-dl's SLAYER writes and its netx runs: in and out, with h5py alone.

program = read_net("trained.net")     # what SLAYER trained, in integers
netx_differences("trained.net")       # where netx itself would run something else
write_net(program, "network.net")     # only what netx runs spike for spike
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from snnfuse.export.netx.table import ops_rows
from snnfuse.hardware.errors import InputError, NetxWarning
from snnfuse.hardware.ledger import Ledger

if TYPE_CHECKING:
    from snnfuse.hardware.ir.program import Program

__all__ = ["net_bytes", "netx_differences", "open_net", "ops_rows", "read_net", "sample_steps", "write_net"]


def read_net(path: str | Path, *, dt: float | None = None, input_shape: tuple[int, ...] | None = None, **options: int | None) -> "Program":
    """A Program that means what SLAYER trained: weights of any size, delays after the neurons, each sample in its own window.

    Args:
        path: the file.
        dt: seconds per step; by default the file's simulation/Ts, otherwise 1e-3.
        input_shape: (n,) or (C, H, W), for a file without an input layer.
        options: num_layers, skip_layers, input_message_bits, reset_interval, reset_offset and spike_exp, which mean what they mean to
            netx; see `snnfuse.export.netx.options.NetOptions`.

    Returns:
        Nodes "input" and "layer1", "layer2", ... after the file's groups; output "output", which counts spikes, or reads the last
        voltage where the last layer never fires, or the last sum or activation of a sigma-delta network. An input layer with neurons
        takes one image per sample, (C, H, W) on every step, as their bias. The ledger says what integers could not keep.

    Warns:
        NetxWarning: netx itself would run something else; see `netx_differences`.

    Raises:
        InputError: the file is missing, damaged or contradicts itself; names the dataset.
        UnsupportedError: it holds what a Program cannot; names it, with a way out.
    """
    program, changes = open_net(path, dt=dt, input_shape=input_shape, **options)
    if changes:
        first, *others = changes
        more = f" and {len(others)} more; see netx_differences" if others else ""
        warnings.warn(f"{path}: {first.node}: netx itself {first.change}{more}", NetxWarning, stacklevel=2)
    return program


def netx_differences(path: str | Path) -> Ledger:
    """Where netx would silently run another network than the file holds: node, change. Errors as of `read_net`."""
    return open_net(path)[1]


def sample_steps(path: str | Path) -> int | None:
    """Steps of a sample, simulation/tSample, where the file says it; errors as of `read_net`."""
    from snnfuse.export.netx.file_in import read_contents

    return read_contents(path).steps


def open_net(
    path: str | Path, *, dt: float | None = None, input_shape: tuple[int, ...] | None = None, **options: int | None
) -> "tuple[Program, Ledger]":
    """`read_net` and `netx_differences` in one."""
    from snnfuse.export.netx.file_in import read_contents
    from snnfuse.export.netx.file_to_program import to_program
    from snnfuse.export.netx.netx_itself import differences
    from snnfuse.export.netx.options import net_options
    from snnfuse.hardware.errors import UnsupportedError

    chosen, net = net_options(options), read_contents(path)
    try:
        return to_program(net, dt, input_shape, chosen), differences(chosen.chosen(net)[1])
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def net_bytes(program: "Program") -> bytes:
    """What `write_net` writes."""
    from snnfuse.export.netx.file_out import to_bytes
    from snnfuse.export.netx.program_to_file import to_contents

    return to_bytes(to_contents(program))


def write_net(program: "Program", path: str | Path) -> None:
    """Write a file that netx runs spike for spike, in windows of `reset_interval` steps.

    Args:
        program: a chain of dense, recurrent and convolutional layers from one input of binary spikes to one output. Its decoder
            is not in the file, and neither are delays of whole layers, which only move windows.
        path: an older file is replaced.

    Raises:
        UnsupportedError: netx cannot express it, or would run it differently; says what and where.
        InputError: the file cannot be written.
    """
    from snnfuse.hardware.files import write_whole

    write_whole(Path(path), net_bytes(program))
