"""Why a torch layer has no NIR form, and what to use instead: by class, else by the family that torch files it under."""

from torch import nn
from torch.nn.utils import parametrize

from snnfuse.export.tracing.capture.trace_ops import CURVED, RAW_ADVICE, SPIKE_ADVICE
from snnfuse.export.tracing.nodes.refusal import USABLE

OWN_STATISTICS = "it measures each sample's own statistics, which differ from step to step"
PRODUCT = "it multiplies values that depend on the input, and NIR has no product"
HOLDER = "it only holds other modules and computes nothing itself"
NORM_ADVICE = "use BatchNorm1d or BatchNorm2d: it folds into the layer before or after it"
POOL_ADVICE = "use MaxPool2d or AvgPool2d with a fixed kernel"
LAZY_ADVICE = "run the model once on a sample, which makes it an ordinary layer"
Decided = tuple[str, str]  # reason, way out

BY_NAME: tuple[tuple[tuple[str, ...], Decided], ...] = (
    (("Softmax", "Softmax2d", "LogSoftmax", "Softmin"), ("it divides by a sum over neurons, which differs from step to step", RAW_ADVICE)),
    (("MultiheadAttention",), (PRODUCT, "mix neurons with torch.nn.Linear layers, whose weights are constant")),
    (("Bilinear",), (PRODUCT, "use a Linear of the concatenated inputs")),
    (("LPPool1d", "LPPool2d", "LPPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d"), (CURVED, POOL_ADVICE)),
    (("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"), ("where it puts its input depends on the data", "use Upsample")),
    (("SyncBatchNorm",), ("it spans several processes", "call .eval() and replace it by BatchNorm2d with the same state_dict")),
    (("ConvTranspose3d",), ("it has no NIR form here", "use Upsample and Conv3d, or ConvTranspose2d")),
    (("Embedding", "EmbeddingBag"), ("it looks rows up by the input's numbers", "present one-hot inputs to a Linear")),
    (("DataParallel", "DistributedDataParallel", "DistributedDataParallelCPU"), ("it is a wrapper", "export its .module")),
)
BY_FILE: dict[str, Decided] = {  # torch.nn.modules.<file>
    "activation": (CURVED, SPIKE_ADVICE),
    "normalization": (OWN_STATISTICS, NORM_ADVICE),
    "instancenorm": (OWN_STATISTICS, NORM_ADVICE),
    "rnn": ("its gates multiply values that depend on the input", "use spiking neurons with a recurrent Linear, such as snntorch.RLeaky"),
    "transformer": (PRODUCT, "mix neurons with torch.nn.Linear layers, whose weights are constant"),
    "loss": ("it compares with a target, which a deployed network does not have", "compute the loss outside forward"),
    "distance": ("it divides by norms that depend on the input", "compute distances outside forward, from the recorded outputs"),
    "adaptive": ("it compares with a target", "compute the loss outside forward"),
    "container": (HOLDER, "call the modules that it holds"),
    "module": (HOLDER, "write a forward that calls its layers"),
}


def decided(module: nn.Module) -> Decided:
    """Reason and way out for a module that is refused."""
    if parametrize.is_parametrized(module):
        return "its weights are computed from others in every call", "call torch.nn.utils.parametrize.remove_parametrizations on it first"
    return decided_kind(type(module))


def decided_kind(kind: type[nn.Module]) -> Decided:
    """Reason and way out for a class of torch layers that is refused."""
    for names, answer in BY_NAME:
        if kind.__name__ in names:
            return answer
    if "Lazy" in kind.__name__:
        return "its shape is not known yet", LAZY_ADVICE
    return BY_FILE.get(kind.__module__.rpartition(".")[2], (f"{kind.__name__} has no NIR form here", USABLE))
