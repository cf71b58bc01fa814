"""What numba has no words for: vectors of integers that stay in registers, and code or arrays that are known by their address.

LLVM splits what a processor's registers do not hold. Arithmetic keeps the low bits, as int32 does on every chip. Everything else that is
compiled is plain numba.
"""

from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, register_model
from numba.np.arrayobj import populate_array

from snnfuse.hardware.backends.emulator.debugging import BOUNDS_CHECKED

intrinsic: Any = extending.intrinsic  # what it makes takes all arguments but the first; a type checker would ask for that one too
INT, WORD, POINTER = types.int64, types.int32, ir.IntType(8).as_pointer()
LANES = 16  # int32 in the widest register of today's processors


class Vector(types.Type):
    """So many integers of one type, as a value in compiled code."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"vector({dtype}, {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        """The same for LLVM."""
        return ir.VectorType(ir.IntType(self.dtype.bitwidth), self.lanes)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


def _address(context, builder, array, value, index, vector: Vector):
    """Pointer to the vector that begins at an element of a contiguous array."""
    found = context.make_array(array)(context, builder, value)
    if BOUNDS_CHECKED:
        for k in (index, builder.add(index, index.type(vector.lanes - 1))):
            cgutils.do_boundscheck(context, builder, k, builder.extract_value(found.shape, 0))
    return builder.bitcast(builder.gep(found.data, [index]), vector.llvm.as_pointer())


def _widened(builder, value, source: Vector, target: Vector):
    return value if source.dtype == target.dtype else builder.sext(value, target.llvm)


def _splat(builder, value, vector: Vector):
    undefined = ir.Constant(vector.llvm, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), None))


def loader(lanes: int):
    """load(array, index): the vector of so many elements that begins there, at any alignment."""

    @intrinsic
    def load(typingctx, array, index):
        vector = Vector(array.dtype, lanes)

        def generate(context, builder, signature, args):
            return builder.load(_address(context, builder, array, args[0], args[1], vector), align=array.dtype.bitwidth // 8)

        return vector(array, INT), generate

    return load


def constants(dtype: Any, lanes: int, value: int = 0):
    """constant(): a vector of one number."""
    vector = Vector(dtype, lanes)

    @intrinsic
    def constant(typingctx):
        return vector(), lambda context, builder, signature, args: ir.Constant(vector.llvm, [value] * lanes)

    return constant


@intrinsic
def store(typingctx, array, index, vector):
    """Write a vector over the elements that begin at an index."""

    def generate(context, builder, signature, args):
        builder.store(args[2], _address(context, builder, array, args[0], args[1], vector), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, INT, vector), generate


@intrinsic
def plus(typingctx, x, y):
    """x + y, as wide as x, whose lanes are at least as wide as y's."""

    def generate(context, builder, signature, args):
        return builder.add(args[0], _widened(builder, args[1], y, x))

    return x(x, y), generate


@intrinsic
def plus_times(typingctx, x, y, factor):
    """x + factor y, as wide as x; the factor is an int32, and so are the lanes of x."""

    def generate(context, builder, signature, args):
        return builder.add(args[0], builder.mul(_widened(builder, args[1], y, x), _splat(builder, args[2], x)))

    return x(x, y, WORD), generate


@intrinsic
def plus_scaled(typingctx, x, y, offset, factor, shift):
    """x + ((factor (y + offset)) >> shift), as wide as x; all are int32, but y's lanes may be narrower."""

    def generate(context, builder, signature, args):
        offset_, factor_, shift_ = (_splat(builder, value, x) for value in args[2:])
        total = builder.add(_widened(builder, args[1], y, x), offset_)
        return builder.add(args[0], builder.ashr(builder.mul(total, factor_), shift_))

    return x(x, y, WORD, WORD, WORD), generate


@intrinsic
def bits_of_both(typingctx, x, y):
    """Every bit that is set in x or in y."""
    return x(x, y), lambda context, builder, signature, args: builder.or_(*args)


@intrinsic
def bits_of_all(typingctx, x):
    """Every bit that is set in any lane, as an int64."""

    def generate(context, builder, signature, args):
        name = f"llvm.vector.reduce.or.v{x.lanes}i{x.dtype.bitwidth}"
        reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(x.llvm.element, [x.llvm]), name)
        return builder.sext(builder.call(reduce, args), ir.IntType(64))

    return INT(x), generate


@intrinsic
def append_nonzero(typingctx, x, first, events, end):
    """Append the lanes that are not 0 to a list, as first + lane; returns its end. Whole vectors are written: it needs room for one."""
    indices = Vector(WORD, x.lanes)

    def generate(context, builder, signature, args):
        value, first_, events_, end_ = args
        lanes = ir.Constant(indices.llvm, list(range(x.lanes)))
        numbers = builder.add(lanes, _splat(builder, builder.trunc(first_, ir.IntType(32)), indices))
        mask = builder.icmp_signed("!=", value, ir.Constant(x.llvm, None))
        kind = ir.FunctionType(indices.llvm, [indices.llvm, mask.type, indices.llvm])
        compress = cgutils.get_or_insert_function(builder.module, kind, f"llvm.experimental.vector.compress.v{x.lanes}i32")
        chosen = builder.call(compress, [numbers, mask, ir.Constant(indices.llvm, ir.Undefined)])
        builder.store(chosen, _address(context, builder, events, events_, end_, indices), align=4)
        count = builder.ctpop(builder.bitcast(mask, ir.IntType(x.lanes)))
        return builder.add(end_, builder.zext(count, ir.IntType(64)))

    return INT(x, INT, events, INT), generate


@intrinsic
def get(typingctx, array, index):
    """array[index] as an int64, for an index >= 0: numba's brackets look for negative ones, which costs more than the element."""

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, array, args[0], args[1], Vector(array.dtype, 1))
        word = builder.extract_element(builder.load(pointer, align=array.dtype.bitwidth // 8), ir.Constant(ir.IntType(32), 0))
        return word if array.dtype.bitwidth == 64 else builder.sext(word, ir.IntType(64))

    return INT(array, INT), generate


def array_at(dtype: Any):
    """view(address, size): what lies at an address, as an array that somebody else keeps alive."""

    @intrinsic
    def view(typingctx, address, size):
        return _view(dtype, 1)

    return view


def table_at(dtype: Any):
    """view(address, rows, size): the same with rows of so many."""

    @intrinsic
    def view(typingctx, address, rows, size):
        return _view(dtype, 2)

    return view


def _view(dtype: Any, dimensions: int) -> tuple[Any, Any]:
    kind, width = types.Array(dtype, dimensions, "C"), dtype.size if isinstance(dtype, types.Record) else dtype.bitwidth // 8

    def generate(context, builder, signature, args):
        array, itemsize = context.make_array(kind)(context, builder), ir.Constant(ir.IntType(64), width)
        data, shape = builder.inttoptr(args[0], array.data.type), args[1:]
        strides = [builder.mul(itemsize, shape[1]), itemsize] if dimensions == 2 else [itemsize]
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
        return array._getvalue()

    return kind(*[INT] * (1 + dimensions)), generate


words_at, shorts_at, bytes_at = (array_at(dtype) for dtype in (types.int32, types.int16, types.int8))


@intrinsic
def prefetch(typingctx, address):
    """Bring a cache line near that will be read soon; an address that is none does no harm."""

    def generate(context, builder, signature, args):
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [POINTER, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, data = word(0), word(3), word(1)
        builder.call(function, [builder.inttoptr(args[0], POINTER), read, keep, data])
        return context.get_dummy_value()

    return types.void(INT), generate


@intrinsic
def round_towards_zero(typingctx):
    """Have this thread drop what a float does not hold; returns how it rounded before."""

    def generate(context, builder, signature, args):
        word = ir.IntType(32)
        before = builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, []), "llvm.get.rounding"), [])
        _set_rounding(builder, ir.Constant(word, 0))
        return before

    return WORD(), generate


@intrinsic
def round_as(typingctx, mode):
    """Have this thread round floats as it did before."""

    def generate(context, builder, signature, args):
        _set_rounding(builder, args[0])
        return context.get_dummy_value()

    return types.void(WORD), generate


def _set_rounding(builder, mode) -> None:
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.set.rounding"), [mode])


def _call(context, builder, address, arrays, rest) -> None:
    """Call the code at an address with pointers to elements of arrays, and integers."""
    pointers = []
    for array, value, index in arrays:
        data = context.make_array(array)(context, builder, value).data
        pointers.append(builder.bitcast(builder.gep(data, [index]) if index else data, POINTER))
    unused = [cgutils.alloca_once(builder, POINTER) for _ in range(2)]  # for a result and an exception, by numba's convention
    kind = ir.FunctionType(ir.IntType(32), [each.type for each in (*unused, *pointers, *rest)])
    status = builder.call(builder.inttoptr(address, kind.as_pointer()), [*unused, *pointers, *rest])
    if BOUNDS_CHECKED:
        with builder.if_then(builder.icmp_unsigned("!=", status, ir.Constant(status.type, 0)), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("index is out of bounds",))


@intrinsic
def call_update(typingctx, address, inputs, states, parameters, sent, n):
    """Call (int32 *inputs, int32 *states, record *parameters, int32 *sent, int64 n)."""
    arrays = (inputs, states, parameters, sent)

    def generate(context, builder, signature, args):
        _call(context, builder, args[0], zip(arrays, args[1:5], [None] * 4), args[5:])
        return context.get_dummy_value()

    return types.void(INT, *arrays, INT), generate


@intrinsic
def call_delivery(typingctx, address, connections, row, memory, start, stop):
    """Call (connection *, memory *, int64 start, int64 stop), with one row of the connections."""

    def generate(context, builder, signature, args):
        _call(context, builder, args[0], [(connections, args[1], args[2]), (memory, args[3], None)], args[4:])
        return context.get_dummy_value()

    return types.void(INT, connections, INT, memory, INT, INT), generate
