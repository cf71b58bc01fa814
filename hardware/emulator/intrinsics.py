"""What numba has no words for: 32-bit arithmetic that wraps, and vectors of fixed width, as LLVM instructions.

Vectors are LLVM's own, which every processor runs; with AVX-512 they are its registers. Pointers come from arrays, offsets are in elements.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _binary(operation):
    """An int32 operation that keeps the low 32 bits; numba's own would go to 64."""

    @intrinsic
    def apply(typingctx, x, y):
        def generate(context, builder, signature, args):
            return getattr(builder, operation)(*args)

        return types.int32(types.int32, types.int32), generate

    return apply


add, sub, mul, sra, shl, bit_and, srl = (_binary(name) for name in ("add", "sub", "mul", "ashr", "shl", "and_", "lshr"))


@intrinsic
def trailing_zeros(typingctx, bits):
    """Position of the lowest bit that is set; bits is not 0."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


def _data(context, builder, array_type, value, offset):
    """Pointer to an element of a contiguous array."""
    data = context.make_array(array_type)(context, builder, value).data
    return builder.gep(data, [offset])


def _load(builder, pointer, element, lanes):
    pointer = builder.bitcast(pointer, ir.VectorType(element, lanes).as_pointer())
    return builder.load(pointer, align=element.width // 8)


def _store(builder, vector, pointer):
    pointer = builder.bitcast(pointer, vector.type.as_pointer())
    builder.store(vector, pointer, align=vector.type.element.width // 8)


def _bits(builder, vector):
    """One bit per lane: whether it is not zero."""
    lanes = vector.type.count
    return builder.bitcast(builder.icmp_unsigned("!=", vector, ir.Constant(vector.type, None)), ir.IntType(lanes))


@intrinsic
def nonzero_bytes(typingctx, array, offset):
    """int64 whose bit k says whether array[offset + k] is not 0, for 64 bytes."""

    def generate(context, builder, signature, args):
        pointer = _data(context, builder, array, args[0], args[1])
        return _bits(builder, _load(builder, pointer, I8, 64))

    return types.int64(array, types.int64), generate


@intrinsic
def nonzero_words(typingctx, address):
    """The same for 64 int32 at a memory address."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], I32.as_pointer())
        return _bits(builder, _load(builder, pointer, I32, 64))

    return types.int64(types.int64), generate


@intrinsic
def above_one(typingctx, address):
    """int64 whose bit k says whether the k-th of 64 int32 at an address is neither 0 nor 1."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], I32.as_pointer())
        words = _load(builder, pointer, I32, 64)
        return _bits(builder, builder.lshr(words, _splat(builder, ir.Constant(I32, 1), 64)))

    return types.int64(types.int64), generate


@intrinsic
def word_at(typingctx, address):
    """The int32 at a memory address."""

    def generate(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], I32.as_pointer()), align=4)

    return types.int32(types.int64), generate


def _splat(builder, value, lanes):
    vector_type = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector_type, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, ir.Constant(vector_type, ir.Undefined), ir.Constant(ir.VectorType(I32, lanes), None))


def _weights(builder, pointer, signed, element, lanes):
    """Bytes, widened."""
    extend = builder.sext if signed else builder.zext
    return extend(_load(builder, pointer, I8, lanes), ir.VectorType(element, lanes))


def row_sum(lanes):
    """Add the sum of listed rows to an input: the heart of a dense connection, its sums held in registers.

    For lanes neurons from `offset` on, a += (factor * sum over events e of w[first + stride * e]) >> shift, where up to `block` rows
    are summed in 16 bits before they are widened.
    """

    @intrinsic
    def add_rows(typingctx, a, offset, events, start, stop, block, w, first, stride, factor, shift):
        def generate(context, builder, signature, args):
            a_, offset_, events_, start_, stop_, block_, w_, first_, stride_, factor_, shift_ = args
            narrow, wide = ir.VectorType(I16, lanes), ir.VectorType(I32, lanes)
            listed = _data(context, builder, events, events_, ir.Constant(I64, 0))
            rows = _data(context, builder, w, w_, first_)
            total, partial = cgutils.alloca_once(builder, wide), cgutils.alloca_once(builder, narrow)
            builder.store(ir.Constant(wide, None), total)
            with cgutils.for_range_slice(builder, start_, stop_, block_, I64) as (begin, _):
                end = builder.add(begin, block_)
                end = builder.select(builder.icmp_signed("<", end, stop_), end, stop_)
                builder.store(ir.Constant(narrow, None), partial)
                with cgutils.for_range_slice(builder, begin, end, ir.Constant(I64, 1), I64) as (k, _):
                    event = builder.sext(builder.load(builder.gep(listed, [k])), I64)
                    row = builder.gep(rows, [builder.mul(event, stride_)])
                    more = _weights(builder, row, w.dtype.signed, I16, lanes)
                    builder.store(builder.add(builder.load(partial), more), partial)
                builder.store(builder.add(builder.load(total), builder.sext(builder.load(partial), wide)), total)
            scaled = builder.ashr(builder.mul(builder.load(total), _splat(builder, factor_, lanes)), _splat(builder, shift_, lanes))
            target = _data(context, builder, a, a_, offset_)
            _store(builder, builder.add(_load(builder, target, I32, lanes), scaled), target)
            return context.get_dummy_value()

        ints = [types.int64] * 3
        return types.void(a, types.int64, events, *ints, w, types.int64, types.int64, types.int32, types.int32), generate

    return add_rows


def graded_row_sum(lanes):
    """The same where each event carries a value: its row times that, modulo 2**32."""

    @intrinsic
    def add_graded_rows(typingctx, a, offset, events, values, start, stop, w, first, stride, factor, shift):
        def generate(context, builder, signature, args):
            a_, offset_, events_, values_, start_, stop_, w_, first_, stride_, factor_, shift_ = args
            wide, zero = ir.VectorType(I32, lanes), ir.Constant(I64, 0)
            listed, carried = (_data(context, builder, t, x, zero) for t, x in ((events, events_), (values, values_)))
            rows = _data(context, builder, w, w_, first_)
            total = cgutils.alloca_once(builder, wide)
            builder.store(ir.Constant(wide, None), total)
            with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(I64, 1), I64) as (k, _):
                event = builder.sext(builder.load(builder.gep(listed, [k])), I64)
                row = builder.gep(rows, [builder.mul(event, stride_)])
                value = _splat(builder, builder.load(builder.gep(carried, [k])), lanes)
                more = builder.mul(_weights(builder, row, w.dtype.signed, I32, lanes), value)
                builder.store(builder.add(builder.load(total), more), total)
            scaled = builder.ashr(builder.mul(builder.load(total), _splat(builder, factor_, lanes)), _splat(builder, shift_, lanes))
            target = _data(context, builder, a, a_, offset_)
            _store(builder, builder.add(_load(builder, target, I32, lanes), scaled), target)
            return context.get_dummy_value()

        ints = [types.int64] * 2
        return types.void(a, types.int64, events, values, *ints, w, types.int64, types.int64, types.int32, types.int32), generate

    return add_graded_rows


def chunk_sum(lanes):
    """acc[offset + k] += w[first + k] for so many lanes, in the accumulator's width."""

    @intrinsic
    def add_chunk(typingctx, acc, offset, w, first):
        def generate(context, builder, signature, args):
            element = context.get_value_type(acc.dtype)
            target = _data(context, builder, acc, args[0], args[1])
            more = _weights(builder, _data(context, builder, w, args[2], args[3]), w.dtype.signed, element, lanes)
            _store(builder, builder.add(_load(builder, target, element, lanes), more), target)
            return context.get_dummy_value()

        return types.void(acc, types.int64, w, types.int64), generate

    return add_chunk


def graded_chunk_sum(lanes):
    """acc[offset + k] += value * w[first + k], modulo 2**32."""

    @intrinsic
    def add_graded_chunk(typingctx, acc, offset, w, first, value):
        def generate(context, builder, signature, args):
            target = _data(context, builder, acc, args[0], args[1])
            more = _weights(builder, _data(context, builder, w, args[2], args[3]), w.dtype.signed, I32, lanes)
            more = builder.mul(more, _splat(builder, args[4], lanes))
            _store(builder, builder.add(_load(builder, target, I32, lanes), more), target)
            return context.get_dummy_value()

        return types.void(acc, types.int64, w, types.int64, types.int32), generate

    return add_graded_chunk
