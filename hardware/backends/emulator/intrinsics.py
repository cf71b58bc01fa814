"""Vector loops that the kernels are made of: sums of weight rows, and lists of what is not zero."""

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from snnfuse.hardware.backends.emulator.fields import LANES
from snnfuse.hardware.backends.emulator.vectors import (
    I8,
    I16,
    I32,
    I64,
    TOWARDS_ZERO,
    Lanes,
    count_bits,
    element,
    indices,
    load,
    prefetch,
    rounding,
    set_rounding,
    splat,
)

INT, WORD = types.int64, types.int32
kernel_part = njit(_nrt=False)  # nothing is allocated in here, so that no array needs its references counted


def _scalar(operation):
    """An int32 operation that keeps the low 32 bits; numba's own would go to 64."""

    @intrinsic
    def apply(typingctx, x, y):
        def generate(context, builder, signature, args):
            return getattr(builder, operation)(*args)

        return WORD(WORD, WORD), generate

    return apply


add, mul, sra = (_scalar(name) for name in ("add", "mul", "ashr"))


@intrinsic
def list_input(typingctx, address, ahead, first, events, at):
    """Append the indices of the LANES int32 at an address that are not 0, from index `first` on.

    Returns (end of the list, whether all are 0 or 1). Whole vectors are written: the list needs room for LANES more. What lies `ahead`
    bytes further on is fetched: the next step's values, which no processor foresees, for other samples' lie between.
    """

    def generate(context, builder, signature, args):
        address_, ahead_, first_, events_, at_ = args
        prefetch(builder, builder.add(address_, ahead_))
        values = load(builder, builder.inttoptr(address_, I32.as_pointer()), I32, LANES)
        active = values.differs(0)
        indices(builder, first_, LANES).store_chosen(active, element(context, builder, events, events_, at_))
        end = builder.add(at_, count_bits(builder, active.bits()))
        strange = builder.icmp_signed("!=", (values & ~1).differs(0).bits(), ir.Constant(ir.IntType(LANES), 0))
        return context.make_tuple(builder, signature.return_type, (end, builder.zext(builder.not_(strange), I64)))

    return types.UniTuple(INT, 2)(INT, INT, INT, events, INT), generate


@intrinsic
def get(typingctx, array, k):
    """array[k] for k >= 0 and below its size: numba's own brackets look for negative indices, which costs more than the element."""

    def generate(context, builder, signature, args):
        value = builder.load(element(context, builder, array, args[0], args[1]))
        return value if array.dtype.bitwidth == 64 else builder.sext(value, I64)

    return INT(array, INT), generate


@intrinsic
def round_towards_zero(typingctx):
    """Have this thread drop what a float32 does not hold; returns how it rounded before."""

    def generate(context, builder, signature, args):
        before = rounding(builder)
        set_rounding(builder, ir.Constant(I32, TOWARDS_ZERO))
        return before

    return WORD(), generate


@intrinsic
def round_as(typingctx, mode):
    """Have this thread round floats as it did before."""

    def generate(context, builder, signature, args):
        set_rounding(builder, args[0])
        return context.get_dummy_value()

    return types.void(WORD), generate


@intrinsic
def word_at(typingctx, address):
    """The int32 at a memory address."""

    def generate(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], I32.as_pointer()), align=4)

    return WORD(INT), generate


def _deposit(builder, total: Lanes, factor, shift, target) -> None:
    """target += (factor * total) >> shift."""
    (load(builder, target, I32, total.count) + ((total * factor) >> splat(builder, shift, total.count))).store(target)


def row_sum(lanes):
    """The heart of an all-to-all connection: the sum of listed rows, held in registers.

    For `lanes` neurons from `offset` on, a += (factor * sum over events e of w[first + stride * e]) >> shift; up to `block` rows are
    summed in 16 bits before they are widened.
    """

    @intrinsic
    def add_rows(typingctx, a, offset, events, start, stop, block, w, first, stride, factor, shift):
        def generate(context, builder, signature, args):
            a_, offset_, events_, start_, stop_, block_, w_, first_, stride_, factor_, shift_ = args
            narrow, wide = ir.VectorType(I16, lanes), ir.VectorType(I32, lanes)
            listed = element(context, builder, events, events_, 0)
            rows = element(context, builder, w, w_, first_)
            total, partial = cgutils.alloca_once(builder, wide), cgutils.alloca_once(builder, narrow)
            builder.store(ir.Constant(wide, None), total)
            with cgutils.for_range_slice(builder, start_, stop_, block_, I64) as (begin, _):
                end = builder.add(begin, block_)
                end = builder.select(builder.icmp_signed("<", end, stop_), end, stop_)
                builder.store(ir.Constant(narrow, None), partial)
                with cgutils.for_range_slice(builder, begin, end, ir.Constant(I64, 1), I64) as (k, _):
                    event = builder.sext(builder.load(builder.gep(listed, [k])), I64)
                    row = load(builder, builder.gep(rows, [builder.mul(event, stride_)]), I8, lanes)
                    builder.store((row.widened(I16, w.dtype.signed) + Lanes(builder, builder.load(partial))).value, partial)
                more = Lanes(builder, builder.load(partial)).widened(I32)
                builder.store((more + Lanes(builder, builder.load(total))).value, total)
            _deposit(builder, Lanes(builder, builder.load(total)), factor_, shift_, element(context, builder, a, a_, offset_))
            return context.get_dummy_value()

        return types.void(a, INT, events, INT, INT, INT, w, INT, INT, WORD, WORD), generate

    return add_rows


def graded_row_sum(lanes):
    """The same where each event carries a value: its row times that, modulo 2**32."""

    @intrinsic
    def add_graded_rows(typingctx, a, offset, events, values, start, stop, w, first, stride, factor, shift):
        def generate(context, builder, signature, args):
            a_, offset_, events_, values_, start_, stop_, w_, first_, stride_, factor_, shift_ = args
            wide = ir.VectorType(I32, lanes)
            listed, carried = (element(context, builder, t, x, 0) for t, x in ((events, events_), (values, values_)))
            rows = element(context, builder, w, w_, first_)
            total = cgutils.alloca_once(builder, wide)
            builder.store(ir.Constant(wide, None), total)
            with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(I64, 1), I64) as (k, _):
                event = builder.sext(builder.load(builder.gep(listed, [k])), I64)
                row = load(builder, builder.gep(rows, [builder.mul(event, stride_)]), I8, lanes)
                more = row.widened(I32, w.dtype.signed) * builder.load(builder.gep(carried, [k]))
                builder.store((more + Lanes(builder, builder.load(total))).value, total)
            _deposit(builder, Lanes(builder, builder.load(total)), factor_, shift_, element(context, builder, a, a_, offset_))
            return context.get_dummy_value()

        return types.void(a, INT, events, values, INT, INT, w, INT, INT, WORD, WORD), generate

    return add_graded_rows


def collector(lanes):
    """a[offset + k] += (factor * acc[first + k]) >> shift for so many lanes."""

    @intrinsic
    def collect(typingctx, a, offset, acc, first, factor, shift):
        def generate(context, builder, signature, args):
            kind = context.get_value_type(acc.dtype)
            sums = load(builder, element(context, builder, acc, args[2], args[3]), kind, lanes)
            sums = sums if kind == I32 else sums.widened(I32)
            _deposit(builder, sums, args[4], args[5], element(context, builder, a, args[0], args[1]))
            return context.get_dummy_value()

        return types.void(a, INT, acc, INT, WORD, WORD), generate

    return collect


def run_sum(lanes):
    """acc[offset + k] += w[first + k] for so many int16 lanes; the sums may be wider."""

    @intrinsic
    def add_run(typingctx, acc, offset, w, first):
        def generate(context, builder, signature, args):
            kind = context.get_value_type(acc.dtype)
            target = element(context, builder, acc, args[0], args[1])
            more = load(builder, element(context, builder, w, args[2], args[3]), I16, lanes)
            (load(builder, target, kind, lanes) + (more if kind == I16 else more.widened(kind))).store(target)
            return context.get_dummy_value()

        return types.void(acc, INT, w, INT), generate

    return add_run


def three_runs(lanes):
    """The same for three runs of three times so many lanes each, whose weights follow one another: a kernel of 3x3 in one piece."""

    @intrinsic
    def add_runs(typingctx, acc, first, second, third, w, source):
        def generate(context, builder, signature, args):
            acc_, *places, w_, source_ = args
            weights = element(context, builder, w, w_, source_)
            for run, place in enumerate(places):
                target = element(context, builder, acc, acc_, place)
                for lane in range(0, 3 * lanes, lanes):
                    at, of = builder.gep(target, [I64(lane)]), builder.gep(weights, [I64(3 * lanes * run + lane)])
                    (load(builder, at, I16, lanes) + load(builder, of, I16, lanes)).store(at)
            return context.get_dummy_value()

        return types.void(acc, INT, INT, INT, w, INT), generate

    return add_runs


def graded_chunk_sum(lanes):
    """acc[offset + k] += value * w[first + k], modulo 2**32."""

    @intrinsic
    def add_graded_chunk(typingctx, acc, offset, w, first, value):
        def generate(context, builder, signature, args):
            target = element(context, builder, acc, args[0], args[1])
            kind = context.get_value_type(w.dtype)
            more = load(builder, element(context, builder, w, args[2], args[3]), kind, lanes).widened(I32, w.dtype.signed)
            (load(builder, target, I32, lanes) + more * args[4]).store(target)
            return context.get_dummy_value()

        return types.void(acc, INT, w, INT, WORD), generate

    return add_graded_chunk
