"""Values that are loaded as weights."""

from tilewright.compiler.schedule.limits import EngineLimitError
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.errors import UnsupportedError


def check_factors(
    ctx: Context, name: str, value: str, factor: str, what: str, *, centred: bool = False
) -> None:
    """Refuse factors of a value that the engine does not multiply by.

    Parameters
    ----------
    what : how they are called
    centred : the value's zero point is taken off
    """
    source, weight = ctx.values[value], ctx.values[factor]
    if ctx.config.weight_bits != 8:
        raise EngineLimitError(
            f"{name}: a product of two tensors needs weight_bits=8, not {ctx.config.weight_bits}"
        )
    off = 0 if centred else source.zero_point
    if off or weight.zero_point or weight.qmax > 127:
        raise UnsupportedError(
            name,
            f"zero points {off} and {weight.zero_point} and {what} up to "
            f"{weight.qmax}: the engine multiplies without zero points, by {what} up to 127",
            f"Use symmetric quantizers, and for the {what} a signed one or one of 7 bits.",
        )
