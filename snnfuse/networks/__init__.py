"""Networks built from snnTorch modules. Importing this imports torch."""

from snnfuse.networks.accumulator import Accumulator
from snnfuse.networks.fd_fusion import FDFusionConfig, fd_fusion, with_l2
from snnfuse.networks.l2 import L2Membrane, L2Normalise
from snnfuse.networks.neurons import Neuron, decode, goes_through_time, input_names, reset, run, run_folded, run_steps
from snnfuse.networks.registry import architecture, build, describe, names, preset, preset_config, presets, register, taken
from snnfuse.networks.s_cmrl import SCMRLConfig
from snnfuse.networks.sizes import LayerSize, layer_sizes, size_table, totals
from snnfuse.networks.stages import Carry, Stage, Staged

__all__ = [
    "Accumulator",
    "Carry",
    "FDFusionConfig",
    "L2Membrane",
    "L2Normalise",
    "LayerSize",
    "Neuron",
    "SCMRLConfig",
    "Stage",
    "Staged",
    "architecture",
    "build",
    "decode",
    "describe",
    "fd_fusion",
    "goes_through_time",
    "input_names",
    "layer_sizes",
    "names",
    "preset",
    "preset_config",
    "presets",
    "register",
    "reset",
    "run",
    "run_folded",
    "run_steps",
    "size_table",
    "taken",
    "totals",
    "with_l2",
]
