"""Values that are loaded as weights."""

from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.errors import UnsupportedError


def check_factors(ctx: Context, name: str, value: str, factor: str, what: str) -> None:
    """Refuse factors of a value that the engine does not multiply by; ``what`` they are called."""
    source, weight = ctx.values[value], ctx.values[factor]
    if ctx.config.weight_bits != 8:
        raise EngineLimitError(
            f"{name}: a product of two tensors needs weight_bits=8, not {ctx.config.weight_bits}"
        )
    if source.zero_point or weight.zero_point or weight.qmax > 127:
        raise UnsupportedError(
            name,
            f"zero points {source.zero_point} and {weight.zero_point} and {what} up to "
            f"{weight.qmax}: the engine multiplies without zero points, by {what} up to 127",
            f"Use symmetric quantizers, and for the {what} a signed one or one of 7 bits.",
        )
