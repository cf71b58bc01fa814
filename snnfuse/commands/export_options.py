"""What the options of `snnfuse export` mean for which kind of source and target: one table, from which refusals are printed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnfuse.compile.settings import Settings
    from snnfuse.export.quantization.settings import WeightBits
    from snnfuse.export.targets import Target

DROP = 0.5  # percentage points that a search may cost


@dataclass(frozen=True)
class ExportOptions:
    """The command line, with the values that mean that nobody gave an option."""

    model: Path
    target: str
    output: Path | None = None
    calib: Path | None = None
    data: str | None = None
    data_dir: Path | None = None
    calib_samples: int = 256
    factory: str | None = None
    sample: tuple[str, ...] = ()
    net: tuple[str, ...] = ()
    time_steps: int | None = None
    layout: Any = None
    batch_first: bool = False
    dt: float | None = None
    reset: Any = None
    weight_bits: str = "8"
    input_bits: int | None = None
    encode: Any = "spikes"
    max_groups: int = 2
    decoder: Any = None
    num_classes: int | None = None
    read: str | None = None
    l2: Any = "fold"
    search: bool = False
    tune: bool = False
    max_drop: float | None = None
    cluster: str | None = None
    prove: Any = "fast"
    board: str = "oheo-gulch"
    tier: Any = "B"
    strict: bool = False
    dry_run: bool = False
    force: bool = False
    allow_pickle: bool = False
    verbose: bool = False

    @property
    def place(self) -> Path:
        """Where the bundle goes."""
        return self.output or Path(f"{self.model.stem}-{self.target}")

    @property
    def tune_dir(self) -> Path | None:
        """Where tuning keeps what it has learnt until the bundle is written: beside it."""
        return self.place.with_name(f"{self.place.name}.tuning") if self.tune and not self.dry_run else None

    @property
    def given(self) -> dict[str, Any]:
        """What is not as nobody gave it."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    def settings(self, shapes: Mapping[str, tuple[int, ...]] | None) -> "Settings":
        """How to compile; shapes: of inputs that --sample gave."""
        from snnfuse.compile.settings import Settings

        drop = (DROP if self.max_drop is None else self.max_drop) if self.search else None
        return Settings(
            dt=self.dt, reset=self.reset, weight_bits=parse_bits(self.weight_bits), input_bits=self.input_bits,
            max_groups=self.max_groups, l2=self.l2, encode=self.encode, decoder=self.decoder, num_classes=self.num_classes,
            output=self.read, max_drop=drop, tune=self.tune, tune_dir=self.tune_dir, cluster=self.cluster, prove=self.prove,
            time_steps=self.time_steps, layout=self.layout, shapes=shapes, net=parse_net(self.net),
        )  # fmt: skip

    def find_target(self) -> "Target":
        """What it is compiled for."""
        from snnfuse.export.targets import find_target

        target = find_target(self.target, self.board)
        return target.stock_only if self.tier == "A" else target


def parse_net(given: tuple[str, ...]) -> dict[str, int]:
    """`skip_layers=1`, once per option, to numbers by name; InputError for anything else."""
    from snnfuse.hardware.errors import InputError

    found = {}
    for text in given:
        name, _, number = text.partition("=")
        if not number.isascii() or not number.isdigit() or len(number) > 9:
            raise InputError(f"--net {text}: write an option of netx and its number, as skip_layers=1")
        found[name] = int(number)
    return found


def parse_bits(given: str) -> "WeightBits":
    """`4`, or `fc1=4,fc2=8`, or `fc1=4:2` with bits of excitatory and inhibitory weights, as `weight_bits` takes them; InputError else."""
    if given.isascii() and given.isdigit() and len(given) < 3:
        return _bits(given, given)
    found: dict[str, int | tuple[int, int]] = {}
    for part in given.split(","):
        name, _, bits = part.rpartition("=")
        pair = [_bits(each, given) for each in bits.split(":")]
        if not name.strip() or len(pair) > 2:
            raise _no_bits(given)
        found[name.strip()] = pair[0] if len(pair) == 1 else (pair[0], pair[1])
    return found


def _bits(text: str, given: str) -> int:
    if text.strip() not in {"1", "2", "3", "4", "5", "6", "7", "8"}:
        raise _no_bits(given)
    return int(text)


def _no_bits(given: str) -> Exception:
    from snnfuse.hardware.errors import InputError

    return InputError(f"--weight-bits {given}: write a number 1 to 8 for all layers, or one for each of some, as fc1=4,fc2=8")


INTEGERS = "has no effect on a .net file, which holds integers already; leave it out"
TRAINED = "has no effect: this checkpoint was trained in integers; leave it out, or export the float one"
GRAPH = "has no effect on a .nir file, which holds the graph already; leave it out"
INTEGERS_MADE = "has no effect on a sigma-delta network, which sends what changes; leave it out"
NO_BITS = "has no effect: a bundle for target nir holds no integers; leave it out"
UNREAD = "has no effect: a bundle for target nir holds the graph only, which says nothing of how it is read; leave it out"
CHANGES = "changes the integer program, and a bundle for target {target} cannot hold that; leave it out"
# By option, or option=value: for which kinds of source, and targets, it has no effect, and why. What is not here applies.
NO_EFFECT: Mapping[str, Mapping[str, str]] = {
    "reset": {
        "netx": INTEGERS, "trained": TRAINED, "to nir": "changes the integer program, and a bundle for target nir has none; leave it out",
    },
    "weight_bits": {"netx": INTEGERS, "trained": TRAINED, "to nir": NO_BITS},
    "input_bits": {"netx": INTEGERS, "trained": TRAINED, "to nir": NO_BITS},
    "encode": {"netx": INTEGERS, "trained": TRAINED, "sigma-delta": INTEGERS_MADE, "to nir": NO_BITS},
    "max_groups": {"netx": INTEGERS, "trained": TRAINED, "to nir": NO_BITS},
    "decoder": {"trained": TRAINED, "to nir": UNREAD},
    "num_classes": {"trained": TRAINED, "to nir": UNREAD},
    "read": {"trained": TRAINED, "to nir": UNREAD},
    "search": {
        "netx": INTEGERS,
        "trained": TRAINED,
        "to nir": "chooses bits of weights, and a bundle for target nir holds none; leave it out",
    },
    "tune": {"netx": INTEGERS, "trained": TRAINED, "to nir": NO_BITS},
    "tier": {"to nir": NO_BITS},
    "l2": {
        "netx": INTEGERS,
        "trained": TRAINED,
        "stages": "{value} is for L2 on every step; what this network carries between stages the host computes; leave it out",
    },
    "l2=microcode": {"to nir": f"{{value}} {CHANGES}", "to netx": f"{{value}} {CHANGES}"},
    "dt": {"trained": TRAINED},
    "time_steps": {
        "netx": INTEGERS,
        "trained": TRAINED,
        "graph": GRAPH,
        "stages": "is for a forward that loops over time itself, and a network in stages takes one step per call; leave it out",
    },
    "layout": {
        "netx": INTEGERS,
        "trained": TRAINED,
        "graph": GRAPH,
        "stages": "is for one network, and each stage of this takes one step per call; leave it out",
    },
    "net": dict.fromkeys(("checkpoint", "stages", "trained", "graph"), "is for .net files, which netx takes options for; leave it out"),
    "sample": {"graph": "is for checkpoints: a .nir file says the shapes of its inputs itself"},
    "factory": {"netx": INTEGERS, "graph": GRAPH},
    "allow_pickle": {"netx": INTEGERS, "graph": GRAPH},
    "data": {"netx": INTEGERS},
    "target=nir": {"trained": "needs a float graph, and this checkpoint was trained in integers and has no float graph; export the float "
                              "checkpoint it came from"},
}  # fmt: skip
FLAGS = {"factory": "--model"}


def flag(option: str) -> str:
    """An option as a user writes it."""
    return FLAGS.get(option, "--" + option.replace("_", "-"))


def check_options(options: ExportOptions, *columns: str) -> None:
    """Refuse options without effect.

    Args:
        options: as given.
        columns: of `NO_EFFECT`: a kind of source, or "to" and a target.

    Raises:
        InputError: names the option, and says why.
    """
    from snnfuse.hardware.errors import InputError

    for option, value in options.given.items():
        for reasons in (NO_EFFECT.get(option, {}), NO_EFFECT.get(f"{option}={value}", {})):
            for column in columns:
                if column in reasons:
                    raise InputError(f"{flag(option)} {reasons[column].format(value=value, target=options.target)}")


def check_together(options: ExportOptions) -> None:
    """InputError for options that exclude or need each other."""
    from snnfuse.hardware.errors import InputError

    for problem in _clashes(options):
        raise InputError(problem)


def _clashes(options: ExportOptions) -> Iterator[str]:
    for option in ("max_drop", "cluster"):
        if option in options.given and not options.search:
            yield f"{flag(option)} is for --search, which finds bit widths; add it"
    if options.search and options.tune:
        yield "--tune repairs weights of given bits, and --search looks for bits; export what it finds with --weight-bits and --tune"
    if options.search and "weight_bits" in options.given:
        yield "--search chooses the bits of every layer itself; leave --weight-bits out"
    if options.tier == "A" and options.l2 == "microcode":
        yield "--tier A takes stock neurons only, and --l2 microcode needs others; leave one out"
    if options.batch_first and not options.calib:
        yield "--batch-first says how the arrays of --calib lie; give --calib, or leave it out"
    if options.calib and options.data:
        yield "give --calib or --data, not both"
