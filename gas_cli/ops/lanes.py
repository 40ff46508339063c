"""Vectors of float32 that stay in registers, for compiled kernels.

LLVM vectorises simple loops by itself, but keeps a row that is summed over its entries in memory: one load and one store per entry and
channel. With explicit vectors the row stays in registers. LLVM maps 16 lanes to whatever the processor has (AVX-512, AVX, NEON).
`load` takes a vector of the wanted number of lanes; `zeros(8)` makes the first one.
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
    """The numba type of a vector of `count` float32."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"float32x{count}")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), kind.count))  # type: ignore[no-untyped-call]


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """All lanes equal to `scalar`."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(one, one, mask)


def _lanes_at(context: Any, builder: Any, pointer: Any, at: Any, like: Any) -> Any:
    """The address of pointer[at], as that of a vector."""
    return builder.bitcast(builder.gep(pointer, [at]), context.get_value_type(like).as_pointer())


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

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_lanes_at(context, builder, args[0], args[1], like), align=4)

    return like(source, types.intp, like), codegen


@_instruction
def store(typingctx: Any, target: Any, at: Any, vector: Any) -> Any:
    """target[at : at + lanes] = vector."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _lanes_at(context, builder, args[0], args[1], vector), align=4)
        return context.get_dummy_value()

    return types.void(target, types.intp, vector), codegen


@_instruction
def multiply_add(typingctx: Any, scalar: Any, vector: Any, onto: Any) -> Any:
    """scalar · vector + onto, in one instruction where the processor has it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factor = _splat(builder, args[0], context.get_value_type(vector))
        return builder.fadd(builder.fmul(factor, args[1], flags=("contract",)), args[2], flags=("contract",))

    return vector(types.float32, vector, vector), codegen


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
