"""Vectors that stay in registers, for compiled kernels.

LLVM vectorises simple loops by itself, but keeps a row that is summed over its entries in memory: one load and one store per entry and
channel. With explicit vectors the row stays in registers. LLVM maps 16 lanes to whatever the processor has (AVX-512, AVX, NEON).
`load` takes a vector of the wanted number of lanes; `zeros(8)` makes the first one, of float32; what is loaded has the type of its source.
Sources and targets are one-dimensional contiguous arrays, or pointers; no bounds are checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model


def _instruction(typing: Any) -> Any:
    """`intrinsic`, whose annotations show the typing function's arguments to callers of the instruction."""
    made: Any = intrinsic(prefer_literal=True)(typing)
    return made


class Lanes(types.Type):
    """The numba type of a vector of `count` numbers of type `dtype`."""

    def __init__(self, count: int, dtype: Any = types.float32) -> None:
        self.count, self.dtype = count, dtype
        super().__init__(name=f"{dtype}x{count}")

    @property
    def align(self) -> int:
        """Bytes of one number: a vector may start at any."""
        return int(self.dtype.bitwidth) // 8


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(manager[kind.dtype].get_value_type(), kind.count))  # type: ignore[no-untyped-call]


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """All lanes equal to `scalar`."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(one, one, mask)


def _address(context: Any, builder: Any, kind: Any, source: Any, at: Any) -> Any:
    """Of source[at], where the source is an array or a pointer."""
    data = context.make_array(kind)(context, builder, source).data if isinstance(kind, types.Array) else source
    return builder.gep(data, [at])


@_instruction
def pointer(typingctx: Any, array: Any) -> Any:
    """Where a contiguous array begins, indexed like it without any check.

    Arrays that a function only maybe touches have their references counted there, row after row; a pointer costs nothing.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(array)(context, builder, args[0]).data

    kind: Any = types.CPointer
    return kind(array.dtype)(array), codegen


@_instruction
def zeros(typingctx: Any, count: Any) -> Any:
    """A vector of `count` (a literal) zeros."""
    lanes = Lanes(count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(lanes), None)

    return lanes(count), codegen


@_instruction
def load(typingctx: Any, source: Any, at: Any, like: Any) -> Any:
    """source[at : at + lanes], as many lanes as `like` has."""
    lanes = Lanes(like.count, source.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(lanes).as_pointer()
        return builder.load(builder.bitcast(_address(context, builder, source, args[0], args[1]), vector), align=lanes.align)

    return lanes(source, types.intp, like), codegen


@_instruction
def store(typingctx: Any, target: Any, at: Any, vector: Any) -> Any:
    """target[at : at + lanes] = vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, target, args[0], args[1])
        builder.store(args[2], builder.bitcast(address, context.get_value_type(vector).as_pointer()), align=vector.align)
        return context.get_dummy_value()

    return types.void(target, types.intp, vector), codegen


@_instruction
def multiply_add(typingctx: Any, scalar: Any, vector: Any, onto: Any) -> Any:
    """scalar · vector + onto, in one instruction where the processor has it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = _splat(builder, args[0], context.get_value_type(vector))
        return builder.fadd(builder.fmul(factor, args[1], flags=("contract",)), args[2], flags=("contract",))

    return vector(vector.dtype, vector, vector), codegen


@_instruction
def signs(typingctx: Any, vector: Any) -> Any:
    """A bit per lane of 16: whether it is greater than zero, or NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(context.get_value_type(vector), None)
        return builder.bitcast(builder.fcmp_unordered(">", args[0], zero), ir.IntType(16))

    return types.uint16(vector), codegen


@_instruction
def keep(typingctx: Any, bits: Any, vector: Any) -> Any:
    """The 16 lanes whose bit is set, zeros elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chosen = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), vector.count))
        return builder.select(chosen, args[1], ir.Constant(context.get_value_type(vector), None))

    return vector(types.uint16, vector), codegen


@_instruction
def any_nonzero(typingctx: Any, vector: Any) -> Any:
    """Whether any of 16 lanes differs from zero (a NaN does)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(context.get_value_type(vector), None)
        bits = builder.bitcast(builder.fcmp_unordered("!=", args[0], zero), ir.IntType(16))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(16), 0))

    return types.boolean(vector), codegen


@_instruction
def add(typingctx: Any, one: Any, other: Any) -> Any:
    """one + other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1])

    return one(one, other), codegen


@_instruction
def subtract(typingctx: Any, one: Any, other: Any) -> Any:
    """one - other."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(args[0], args[1])

    return one(one, other), codegen


@_instruction
def maximum(typingctx: Any, one: Any, other: Any) -> Any:
    """The larger of each two numbers; `other` where they do not compare."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return one(one, other), codegen


@_instruction
def dot(typingctx: Any, one: Any, other: Any) -> Any:
    """Σ one · other over the lanes (their number is a power of 2), added in pairs."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, index = builder.fmul(args[0], args[1]), ir.IntType(32)
        while total.type.count > 1:
            half = total.type.count // 2
            low, high = (ir.Constant(ir.VectorType(index, half), list(range(first, first + half))) for first in (0, half))
            total = builder.fadd(builder.shuffle_vector(total, total, low), builder.shuffle_vector(total, total, high))
        return builder.extract_element(total, ir.Constant(index, 0))

    return one.dtype(one, other), codegen


@_instruction
def ramp(typingctx: Any, start: Any, step: Any, like: Any) -> Any:
    """start, start + step, start + 2 · step, …: 32-bit words that wrap, as many as `like` has lanes."""
    lanes = Lanes(like.count, types.uint32)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(lanes)
        steps = builder.mul(_splat(builder, args[1], vector), ir.Constant(vector, list(range(lanes.count))))
        return builder.add(_splat(builder, args[0], vector), steps)

    return lanes(types.uint32, types.uint32, like), codegen


@_instruction
def prefetch(typingctx: Any, source: Any, at: Any) -> Any:
    """Ask for the cache line of source[at]; nothing happens where there is none."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read, keep, from_data = (ir.Constant(word, value) for value in (0, 3, 1))
        builder.call(instruction, [builder.bitcast(_address(context, builder, source, args[0], args[1]), byte), read, keep, from_data])
        return context.get_dummy_value()

    return types.void(source, types.intp), codegen


@_instruction
def fused(typingctx: Any, one: Any, other: Any, onto: Any) -> Any:
    """one · other + onto, lane by lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.fmul(args[0], args[1], flags=("contract",))
        return builder.fadd(product, args[2], flags=("contract",))

    return onto(one, other, onto), codegen


@_instruction
def plus(typingctx: Any, one: Any, other: Any) -> Any:
    """one + other, lane by lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return one(one, other), codegen


@_instruction
def minus(typingctx: Any, one: Any, other: Any) -> Any:
    """one - other, lane by lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(*args)

    return one(one, other), codegen
