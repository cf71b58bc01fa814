"""Registries of neuron and synapse kinds: what every layer above knows about a kind, in one place per kind.

A kind brings what the representation needs itself, by members of its class. What a layer above brings for it (how it is stored, how
it runs in the emulator, in torch and on Lava, how its states are bounded) stands in one `NeuronKind` or `SynapseKind`, registered
once:

    register_neuron(NeuronKind(Lif, fields={...}, placement=..., emulator="package.module:name", torch=..., lava=..., bounds=...))

A form is an object, or "module:attribute", which is imported when it is first asked for, so that this room imports none above it.
Kinds of other packages are registered in the same way when their module is imported. A file names such a kind and its module, and
reading it imports nothing: InputError says what to import.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from snnfuse.hardware.errors import InputError, UnsupportedError
from snnfuse.hardware.ir.json_fields import Field, shown

Form = Any
"""An object, "module:attribute", or None where a kind has none."""
Tier = Literal["A", "B", "C", "D"]
Status = Literal["measured", "models agree", "assumed"]
OWN_PACKAGE = "snnfuse."


@dataclass(frozen=True)
class Placement:
    """How one kind of node runs on a chip.

    Attributes:
        what: the node, in words.
        tier: A: on a core as stock silicon has it. B: on a core, with microcode for its neurons. C: on the host.
        status: how well this is known, as for `snnfuse.hardware.chip.limits.Limit`.
        source: where it is from.
        words: of state memory, 64 bits each, that a neuron takes; None: as `snnfuse.hardware.chip.state_memory` assumes.
    """

    what: str
    tier: Tier
    status: Status
    source: str
    words: int | None = None


@dataclass(frozen=True, eq=False)
class Kind:
    """What neuron and synapse kinds have in common.

    Attributes:
        type: the class, a frozen dataclass whose fields are those of `fields`.
        fields: how each constructor argument is stored, by name.
        module: what to import so that the kind is registered; None: the module of `type`.
    """

    type: type
    fields: Mapping[str, Field]
    module: str | None = None

    @property
    def name(self) -> str:
        """The name that a file gives it."""
        return self.type.__name__

    @property
    def source(self) -> str:
        """The module whose import registers it."""
        return self.module or self.type.__module__

    @property
    def is_own(self) -> bool:
        """Whether it belongs to this package, so that it is always registered."""
        return self.source.startswith(OWN_PACKAGE)

    def form(self, layer: str) -> Any:
        """The form for a layer, such as "torch".

        Raises:
            UnsupportedError: the kind has none.
        """
        form = getattr(self, layer)
        if form is None:
            raise UnsupportedError(f"{self.name} has no form for {layer}: give its registration in {self.source} one ({layer}=...)")
        return resolve(form)


@dataclass(frozen=True, eq=False)
class NeuronKind(Kind):
    """One kind of node: a neuron, an input or a constant.

    Attributes:
        placement: how it runs on a chip, where it has no custom reset.
        emulator: see `snnfuse.hardware.backends.emulator`.
        torch: see `snnfuse.hardware.backends.torch_backend.neurons`.
        lava: see `snnfuse.hardware.backends.lava.neuron_form`.
        bounds: see `snnfuse.hardware.overflow.bounds`.
        network: its float dynamics, for graphs that hold it; see `snnfuse.export.lowering.float_neurons`.
        microcode: its step as pseudo-code; see `snnfuse.hardware.backends.microcode`.
        training: its step with gradients, to train its weights in integers; see `snnfuse.nn.neurons`.
    """

    placement: Placement | None = None
    emulator: Form = None
    torch: Form = None
    lava: Form = None
    bounds: Form = None
    network: Form = None
    microcode: Form = None
    training: Form = None


@dataclass(frozen=True, eq=False)
class SynapseKind(Kind):
    """One kind of synapse group. Every layer runs, bounds and places it by the members of `snnfuse.hardware.ir.synapses.Synapse`.

    Attributes:
        torch: a faster product for torch than that of its convolution or matrix, as `torch_backend.synapses.make_product`; or None.
    """

    torch: Form = None


K = TypeVar("K", bound=Kind)


class Registry(Generic[K]):
    """Kinds by class and by name.

    Args:
        what: the word for one of them, in messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._kinds: dict[str, K] = {}

    def register(self, kind: K) -> K:
        """Add a kind; one of the same module and name is replaced. InputError where another kind has the name."""
        other = self._kinds.get(kind.name)
        if other is not None and other.source != kind.source:
            raise InputError(f"two {self._what} kinds are named {kind.name}: of {other.source} and of {kind.source}; rename one")
        self._kinds[kind.name] = kind
        return kind

    def __iter__(self) -> Iterator[K]:
        return iter(self._kinds.values())

    def of(self, value: object) -> K:
        """The kind of a node or synapse; InputError where its class is not registered."""
        kind = self._kinds.get(type(value).__name__)
        if kind is None or kind.type is not type(value):
            raise InputError(f"{self._what} {type(value).__module__}.{type(value).__name__} is not registered: {self._advice}")
        return kind

    def named(self, name: object, module: object = None) -> K:
        """The kind that a file names.

        Args:
            name: the file's word for it.
            module: the file's word for what registers it, where that is another package.

        Raises:
            InputError: no such kind is registered; says what to import.
        """
        kind = self._kinds.get(name) if isinstance(name, str) else None
        if kind is not None and module in (None, kind.source):
            return kind
        if module is not None:
            raise InputError(
                f"type {shown(name)} is a {self._what} kind of module {shown(module)}, which nobody has imported here, and reading a file "
                "imports nothing: import that module first, if you trust it"
            )
        raise InputError(f"type is {shown(name)}, none of {', '.join(sorted(self._kinds))}")

    @property
    def _advice(self) -> str:
        return f"register its kind where it is defined, by snnfuse.hardware.ir.kinds.register_{self._what}"


NEURONS: Registry[NeuronKind] = Registry("neuron")
SYNAPSES: Registry[SynapseKind] = Registry("synapse")
register_neuron = NEURONS.register
register_synapse = SYNAPSES.register


def resolve(form: Form) -> Any:
    """The object that a form is or names."""
    if not isinstance(form, str):
        return form
    module, _, attribute = form.partition(":")
    return getattr(importlib.import_module(module), attribute)
