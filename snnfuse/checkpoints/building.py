"""Building what a file's configuration describes, for no more weights than the file holds: a few bytes can ask for any width or depth."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from snnfuse.hardware.errors import InputError

TIMES = 2  # a network may replace layers while it is built
SPARE_NUMBERS, SPARE_TENSORS = 1 << 20, 1 << 10  # up to here, what does not fit is named tensor by tensor once it is built


@contextmanager
def bounded_by(weights: Collection[Tensor]) -> Iterator[None]:
    """End the building of a network, by this thread, that will not fit some weights, before its own are given values and so memory.

    weights: all that the file holds.

    Raises:
        InputError: the network has far more, or a layer that memory cannot hold.
    """
    numbers, tensors, thread = sum(weight.numel() for weight in weights), len(weights), threading.get_ident()
    asked = [0, 0]

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None or threading.get_ident() != thread:
            return
        asked[0] += 0 if is_lazy(parameter) else parameter.numel()
        asked[1] += 1
        if asked[0] > TIMES * numbers + SPARE_NUMBERS or asked[1] > TIMES * tensors + SPARE_TENSORS:
            raise InputError(f"its configuration asks for more than the {numbers} numbers in {tensors} tensors that are its weights")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except RuntimeError as error:
        if "alloc" in str(error):  # torch's words, which differ by system; they begin with a place in its source
            raise InputError("its configuration asks for more memory than there is") from error
        raise
    finally:
        hook.remove()
