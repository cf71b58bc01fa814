"""Vectors of integers with the operators of a number, while LLVM code is generated: what numba has no words for.

Every processor runs them, LLVM splits what its registers do not hold; with AVX-512, 16 int32 are one register. Arithmetic keeps the low
bits, as int32 does on every chip. Offsets into arrays are in elements.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32 = ir.FloatType()
TOWARDS_ZERO = 0  # in the numbers of LLVM's rounding modes


class Lanes:
    """An LLVM vector under construction; other operands are vectors, or Python integers and LLVM scalars for all lanes."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    @property
    def count(self) -> int:
        """How many lanes."""
        return self.value.type.count

    def like(self, other: Any) -> ir.Value:
        """Another operand as a vector of this one's type."""
        if isinstance(other, Lanes):
            return other.value
        if isinstance(other, int):
            return ir.Constant(self.value.type, [other] * self.count)
        return splat(self.builder, other, self.count).value

    def __add__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.add(self.value, self.like(other)))

    def __sub__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.sub(self.value, self.like(other)))

    def __mul__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.mul(self.value, self.like(other)))

    def __and__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.and_(self.value, self.like(other)))

    def __lshift__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.shl(self.value, self.like(other)))

    def __rshift__(self, other: Any) -> Lanes:
        """Arithmetic: rounds down."""
        return Lanes(self.builder, self.builder.ashr(self.value, self.like(other)))

    def __gt__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.icmp_signed(">", self.value, self.like(other)))

    def __lt__(self, other: Any) -> Lanes:
        return Lanes(self.builder, self.builder.icmp_signed("<", self.value, self.like(other)))

    def differs(self, other: Any) -> Lanes:
        """Lanes that are not equal."""
        return Lanes(self.builder, self.builder.icmp_signed("!=", self.value, self.like(other)))

    def where(self, mask: Lanes, other: Any) -> Lanes:
        """These lanes where the mask is set, the other's elsewhere."""
        return Lanes(self.builder, self.builder.select(mask.value, self.value, self.like(other)))

    def clip(self, low: int, high: int) -> Lanes:
        """Saturated at both ends."""
        upper = self.where(self < high, high)
        return upper.where(upper > low, low)

    def widened(self, kind: ir.IntType, signed: bool = True) -> Lanes:
        """The same numbers in wider lanes."""
        target = ir.VectorType(kind, self.count)
        return Lanes(self.builder, (self.builder.sext if signed else self.builder.zext)(self.value, target))

    def as_float(self) -> Lanes:
        """float32, exact up to 2**24."""
        return Lanes(self.builder, self.builder.sitofp(self.value, ir.VectorType(F32, self.count)))

    def scaled(self, factor: Lanes) -> Lanes:
        """A product of floats, rounded as `rounding_towards_zero` says: the constrained form tells LLVM that the mode may be any."""
        kind = self.value.type
        name = f"llvm.experimental.constrained.fmul.v{self.count}f32"
        signature = ir.FunctionType(kind, (kind, kind, ir.MetaDataType(), ir.MetaDataType()))
        function = intrinsic_named(self.builder, name, signature)
        options = [ir.MetaDataString(self.builder.module, text) for text in ("round.dynamic", "fpexcept.ignore")]
        return Lanes(self.builder, self.builder.call(function, (self.value, factor.value, *options)))

    def truncated(self) -> Lanes:
        """Floats as int32, towards zero."""
        return Lanes(self.builder, self.builder.fptosi(self.value, ir.VectorType(I32, self.count)))

    def bits(self) -> ir.Value:
        """A mask as an integer of one bit per lane."""
        return self.builder.bitcast(self.value, ir.IntType(self.count))

    def store(self, pointer: ir.Value) -> None:
        """Write all lanes, at any alignment."""
        pointer = self.builder.bitcast(pointer, self.value.type.as_pointer())
        self.builder.store(self.value, pointer, align=self.value.type.element.width // 8)

    def store_chosen(self, mask: Lanes, pointer: ir.Value) -> None:
        """Write the lanes of the mask one after the other; what lies behind them, up to a whole vector, is overwritten too."""
        name = f"llvm.experimental.vector.compress.v{self.count}i{self.value.type.element.width}"
        kind = self.value.type
        function = intrinsic_named(self.builder, name, ir.FunctionType(kind, (kind, mask.value.type, kind)))
        undefined = ir.Constant(kind, ir.Undefined)
        Lanes(self.builder, self.builder.call(function, (self.value, mask.value, undefined))).store(pointer)


def intrinsic_named(builder: ir.IRBuilder, name: str, signature: ir.FunctionType) -> ir.Function:
    """One of LLVM's own functions, declared once per module."""
    return builder.module.globals.get(name) or ir.Function(builder.module, signature, name)


def rounding(builder: ir.IRBuilder) -> ir.Value:
    """How this thread rounds floats."""
    return builder.call(intrinsic_named(builder, "llvm.get.rounding", ir.FunctionType(I32, ())), ())


def set_rounding(builder: ir.IRBuilder, mode: ir.Value) -> None:
    """Have this thread round floats otherwise."""
    builder.call(intrinsic_named(builder, "llvm.set.rounding", ir.FunctionType(ir.VoidType(), (I32,))), (mode,))


def prefetch(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Bring a cache line near that will be read soon; an address that is none does no harm."""
    pointer = builder.inttoptr(address, I8.as_pointer())
    function = intrinsic_named(builder, "llvm.prefetch.p0", ir.FunctionType(ir.VoidType(), (pointer.type, I32, I32, I32)))
    read, keep, data = I32(0), I32(3), I32(1)
    builder.call(function, (pointer, read, keep, data))


def load(builder: ir.IRBuilder, pointer: ir.Value, kind: ir.IntType, lanes: int) -> Lanes:
    """Consecutive elements, at any alignment."""
    pointer = builder.bitcast(pointer, ir.VectorType(kind, lanes).as_pointer())
    return Lanes(builder, builder.load(pointer, align=kind.width // 8))


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> Lanes:
    """One scalar in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return Lanes(builder, builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), None)))


def indices(builder: ir.IRBuilder, first: ir.Value, lanes: int) -> Lanes:
    """first, first + 1, ... as int32; `first` is an int64."""
    counting = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
    return Lanes(builder, counting) + builder.trunc(first, I32)


def element(context: Any, builder: ir.IRBuilder, array_type: Any, value: ir.Value, offset: ir.Value | int) -> ir.Value:
    """Pointer to an element of a contiguous array."""
    offset = ir.Constant(I64, offset) if isinstance(offset, int) else offset
    return builder.gep(context.make_array(array_type)(context, builder, value).data, [offset])


def count_bits(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """How many are set, as an int64."""
    return builder.zext(builder.ctpop(bits), I64)
