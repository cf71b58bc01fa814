"""A stand-in for a tensor while a forward is traced, which answers questions about shape, and no question about values."""

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

DATA_DEPENDENT = "what follows depends on a tensor's value, which is known only at run time"


class ConcreteProxy(fx.Proxy):
    """A proxy that knows its example value, and answers questions about shape from it."""

    tracer: Any  # a ConcreteTracer, which makes these
    __getitem__: Any  # fx gives a proxy the operators at run time

    @property
    def value(self) -> torch.Tensor:
        return self.node.meta["value"]

    @property
    def shape(self) -> torch.Size:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.value.dtype

    @property
    def device(self) -> torch.device:
        return self.value.device

    @property
    def requires_grad(self) -> bool:
        return False

    def size(self, dim: int | None = None) -> Any:
        return self.value.size() if dim is None else self.value.size(dim)

    def dim(self) -> int:
        return self.value.dim()

    @property
    def T(self) -> Any:  # as torch calls it
        return self.tracer.refuse("it reads a tensor's .T, which exchanges the batch", "use x.transpose over axes of a sample")

    def numel(self) -> int:
        return self.value.numel()

    def is_floating_point(self) -> bool:
        return self.value.is_floating_point()

    @property
    def is_cuda(self) -> bool:
        return self.value.is_cuda

    def new_zeros(self, *size: Any, **options: Any) -> torch.Tensor:
        return self.value.new_zeros(*size, **options)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator["ConcreteProxy"]:
        return iter([self[i] for i in range(len(self))])

    def __eq__(self, other: object) -> Any:
        return False if other is None else self.tracer.refuse(DATA_DEPENDENT)

    def __ne__(self, other: object) -> Any:
        return True if other is None else self.tracer.refuse(DATA_DEPENDENT)

    def __iadd__(self, other: Any) -> "ConcreteProxy":
        """fx would record `x += y` as x + y, and lose that other readers of x see the change."""
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other: Any) -> "ConcreteProxy":
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other: Any) -> "ConcreteProxy":
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> "ConcreteProxy":
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.refuse("it assigns to a part of a tensor", "build the tensor with torch.cat or torch.stack")

    def __hash__(self) -> int:
        return id(self)

    def _depends_on_data(self) -> Any:
        return self.tracer.refuse(DATA_DEPENDENT)

    __bool__ = __int__ = __float__ = __index__ = item = tolist = numpy = _depends_on_data
