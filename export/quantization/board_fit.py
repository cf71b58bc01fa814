"""Fit before refusal: what is tried where a program does not fit the board that it is for.

A layer that fits no core loses synapse groups one at a time: of its projections' last groups always the one that costs least in spikes.
Where that costs too many, or one group each is still too much, relays sum its sources in parts, which is exact. And a program that takes
more cores than the board has loses those groups first that cost least for the cores that they save. Everything that is done stands in
the ledger; what fits is not touched.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from snnfuse.export.lowering.network import Network
from snnfuse.export.quantization.assembly import assemble
from snnfuse.export.quantization.calibration import GAIN, quality, rebuilt
from snnfuse.export.quantization.fitting import Fit
from snnfuse.export.quantization.partial_sums import Sums, summable, with_sums
from snnfuse.export.quantization.population_fits import Context, refit
from snnfuse.export.quantization.reading import EACH_OWN, Reading
from snnfuse.export.quantization.rounding import Form, Rounds
from snnfuse.export.targets import Target
from snnfuse.hardware.chip import Demands, Resources, count
from snnfuse.hardware.chip.resources import place
from snnfuse.hardware.errors import DoesNotFitError
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ledger import Ledger, LedgerEntry

MOST_PARTS = 64  # of a sum: of 8,192 axons, half a million sources


@dataclass(frozen=True, eq=False)
class Draft:
    """A program in the making.

    Attributes:
        context: what fits are made of.
        fits: of every population of the float network.
        target: what it is for.
        asked: how outputs are read.
        sums: what relays add up, by population.
        entries: what was done so that it fits.
    """

    context: Context
    fits: Mapping[str, Fit]
    target: Target
    asked: Reading = EACH_OWN
    sums: Mapping[str, Sums] = field(default_factory=dict)
    entries: Ledger = ()

    @cached_property
    def program(self) -> Program:
        """The program with its relays and its entries."""
        network, fits = self.wired
        return assemble(network, fits, self.context.inputs, self.asked).with_ledger(*self.entries)

    @cached_property
    def wired(self) -> tuple[Network, dict[str, Fit]]:
        """Network and fits with the relays."""
        network, fits = self.context.network, dict(self.fits)
        for name, sums in self.sums.items():
            network, fits = with_sums(network, fits, name, sums)
        return network, fits

    @cached_property
    def resources(self) -> Resources | None:
        """What it takes of the board; None where the target is not placed on one. Errors as of `Target.place`."""
        return self.target.place(self.program)

    def problem(self, name: str) -> str | None:
        """Why a layer, or one of its relays, fits no core; None where they do."""
        demands = Demands(self.program)
        feeding = [c.source for c in self.program.into(name) if c.source not in {*self.fits, *self.program.inputs}]
        try:
            for layer in (name, *feeding):
                place(demands, layer, self.target.limits)
        except DoesNotFitError as error:
            return str(error).split(";")[0]
        return None

    def cores(self, name: str) -> int:
        """Of a layer."""
        return place(Demands(self.program), name, self.target.limits)[0].cores

    def with_fit(self, name: str, fit: Fit) -> "Draft":
        """The same with another fit of a population."""
        return replace(self, fits={**self.fits, name: fit})

    def noted(self, name: str, change: str, reason: str, effect: str) -> "Draft":
        """The same with an entry."""
        return replace(self, entries=(*self.entries, LedgerEntry(name, change, reason, effect)))


def fit_to_board(draft: Draft) -> Draft:
    """The draft, or one that fits the board of a target that is placed.

    Raises:
        DoesNotFitError: nothing that is tried fits; names the layer, its limit, and by how much it is exceeded.
    """
    if _fits(draft):
        return draft
    for name in draft.fits:
        reason = draft.problem(name)
        if reason is not None:
            draft = _layer_on_cores(draft, name, reason)
    draft = _fewer_cores(draft)
    draft.target.place(draft.program)  # what still does not fit is refused here
    return draft


def _fits(draft: Draft) -> bool:
    try:
        return draft.resources is None or draft.resources.fits
    except DoesNotFitError:
        return False


def _layer_on_cores(draft: Draft, name: str, reason: str) -> Draft:
    """With fewer groups into a layer; or where those cost too much or are too many still, with relays; or as it is."""
    fewer = _fewer_groups(draft, name, reason)
    if fewer and quality(fewer.fits[name]) - quality(draft.fits[name]) <= GAIN:
        return fewer
    return _with_sums(draft, name, reason) or fewer or draft


def _fewer_groups(draft: Draft, name: str, reason: str) -> Draft | None:
    """With as many groups less into a layer as it takes to fit cores; None where none are few enough."""
    for fit in ladder(draft.context, name, draft.fits[name]):
        if draft.with_fit(name, fit).problem(name) is None:
            best = refit(draft.context, name, fit, fit.forms)
            fitting = [f for f in (best, fit) if f is not None and draft.with_fit(name, f).problem(name) is None]
            return _noted(draft.with_fit(name, fitting[0]), draft, name, reason)
    return None


def ladder(context: Context, name: str, fit: Fit) -> Iterator[Fit]:
    """Fits of a population at the same scale with a group less each, of the projection whose last group costs least."""
    fed = context.fed(name)
    while True:
        ways = [rebuilt(fed, fit, forms) for forms in one_less(fit)]
        fits = [way for way in ways if way is not None]
        if not fits:
            return
        fit = min(fits, key=quality)
        yield fit


def one_less(fit: Fit) -> list[list[Form]]:
    """Every way to take the last group from one of a fit's projections: forms by projection."""
    forms = [replace(form, depth=len(rounds)) for form, rounds in zip(fit.forms, fit.rounds)]
    less = [_less(form, rounds) for form, rounds in zip(forms, fit.rounds)]
    return [[*forms[:i], form, *forms[i + 1 :]] for i, form in enumerate(less) if form is not None]


def _less(form: Form, rounds: Rounds) -> Form | None:
    """A round less, or signs in one group; None where there is one group."""
    first, *further = rounds
    if further:
        return replace(form, depth=len(further))
    is_one = len(first) == 1 or form.bits[0] != form.bits[1] or form.bits[0] == 1
    return None if is_one else replace(form, split=False)


def _with_sums(draft: Draft, name: str, reason: str) -> Draft | None:
    """With relays that sum a layer's sources in parts, of as few projections and in as few parts as fit; None where none do."""
    if "B" not in draft.target.tiers:
        return None
    network, inputs = draft.context.network, draft.context.inputs
    order = summable(network, name, draft.fits[name], inputs, draft.target.payload_bits)
    for most in range(1, len(order) + 1):
        parts = 2
        while parts <= MOST_PARTS:
            tried = replace(draft, sums={**draft.sums, name: Sums(tuple(sorted(order[:most])), parts)})
            if tried.problem(name) is None:
                return tried.noted(name, f"relays sum its sources in {parts} parts, one step before it", reason, "exact: no spike changes")
            parts *= 2
    return None


def _fewer_cores(draft: Draft) -> Draft:
    """With groups less, those first that cost least per core that they save, until the board is large enough; the draft where even one
    group per projection is too much."""
    board, names = draft.target.limits, [name for name in draft.context.network.order if name not in draft.sums]
    before = count(draft.program, board).cores
    if before <= board.cores or not count(_with_least(draft, names).program, board).fits:
        return draft
    ladders = {name: [draft.fits[name], *ladder(draft.context, name, draft.fits[name])] for name in names}
    cores = {name: [draft.with_fit(name, fit).cores(name) for fit in fits] for name, fits in ladders.items()}
    at, total = dict.fromkeys(names, 0), before
    while total > board.cores:
        name, place_ = min(_steps(ladders, cores, at), key=lambda step: _price(ladders[step[0]], cores[step[0]], at[step[0]], step[1]))
        total -= cores[name][at[name]] - cores[name][place_]
        at[name] = place_
    reason = f"with all groups the program takes {before} cores, {before - board.cores} more than the {board.cores} of {board.name}"
    found = draft
    for name in (name for name in names if at[name]):
        found = _noted(found.with_fit(name, ladders[name][at[name]]), draft, name, reason)
    return found


def _with_least(draft: Draft, names: list[str]) -> Draft:
    """With one group per projection, at the same scales."""
    for name in names:
        fed, fit = draft.context.fed(name), draft.fits[name]
        while ways := one_less(fit):
            fewer = rebuilt(fed, fit, ways[0], measure=False)
            if fewer is None:
                break
            fit = fewer
        draft = draft.with_fit(name, fit)
    return draft


def _steps(ladders: Mapping[str, list[Fit]], cores: Mapping[str, list[int]], at: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """(population, rung) of every step down that saves cores."""
    for name, fits in ladders.items():
        yield from ((name, i) for i in range(at[name] + 1, len(fits)) if cores[name][i] < cores[name][at[name]])


def _price(fits: list[Fit], cores: list[int], at: int, rung: int) -> float:
    """What a step adds to what is wrong, per core that it saves."""
    return (quality(fits[rung]) - quality(fits[at])) / (cores[at] - cores[rung])


def _noted(changed: Draft, draft: Draft, name: str, reason: str) -> Draft:
    """With an entry that says how many groups a layer has less, and what that costs."""
    before, after = draft.fits[name], changed.fits[name]
    groups = [sum(len(held) for held in fit.synapses) for fit in (before, after)]
    change = f"its weights are held in {groups[1]} synapse groups, not {groups[0]}"
    return changed.noted(name, change, reason, _effect(draft, name, before, after))


def _effect(draft: Draft, name: str, before: Fit, after: Fit) -> str:
    samples = draft.context.fed(name).run.spikes[name].shape[1]
    if draft.context.network.populations[name].kind == "maximum":
        what, shares = "of the spikes behind it differ", (after.mismatch, before.mismatch)
    elif draft.context.run.spikes[name].any():
        what, shares = "of its spikes differ", (after.mismatch, before.mismatch)
    else:
        what, shares = "is the rms error of its voltage", (after.deviation, before.deviation)
    return f"{shares[0]:.2%} {what}, fed with the float network's, where it was {shares[1]:.2%} before, on {samples} samples"
