"""What to use instead of a torch module that has no NIR form."""

from torch import nn
from torch.nn.utils import parametrize

from snnfuse.export.tracing.refusal import USABLE

ADVICE: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    (
        (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.ELU),
        "use a spiking neuron (snntorch.Leaky) as the non-linearity",
    ),
    (
        (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d),
        "use BatchNorm directly after a Linear or Conv2d: it folds into it",
    ),
    ((nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d), "use AvgPool2d with the kernel that gives the same output"),
    ((nn.Softmax, nn.LogSoftmax), "leave it out: decoding compares the outputs as they are"),
    ((nn.Conv1d, nn.ConvTranspose2d, nn.Conv3d), "use Conv2d"),
    ((nn.DataParallel,), "export its .module"),
    ((nn.RNN, nn.LSTM, nn.GRU), "use spiking neurons with a recurrent Linear"),
)


def advice(module: nn.Module) -> str:
    """One line for a refusal."""
    if parametrize.is_parametrized(module):
        return "call torch.nn.utils.parametrize.remove_parametrizations on it first"
    return next((text for kinds, text in ADVICE if isinstance(module, kinds)), USABLE)
