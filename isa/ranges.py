"""What the parameters of an engine may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from tilewright.isa.config import EngineConfig

Rounding: TypeAlias = Literal["half_even", "double"]
"""How sums become activations: once, ties to even; or twice, as TFLite's reference kernels do."""


def _is_power_of_two(value: int) -> bool:
    """Return whether a number is 1, 2, 4 and so on."""
    return value > 0 and value & (value - 1) == 0


def _most_folds(c: EngineConfig) -> int:
    return min(c.rows, c.requantizer_count).bit_length() - 1


Holds: TypeAlias = "Callable[[EngineConfig], bool]"
Rule: TypeAlias = "tuple[str, str | Callable[[EngineConfig], str], Holds]"


def _in(name: str, low: int, high: int) -> Rule:
    return name, f"in {low}..{high}", lambda c: low <= getattr(c, name) <= high


def _one_of(name: str, *values: int) -> Rule:
    *most, last = map(str, values)
    return name, f"{', '.join(most)} or {last}", lambda c: getattr(c, name) in values


def _depth(name: str, low: int = 16, high: int = 65536) -> Rule:
    def holds(config: EngineConfig) -> bool:
        value = getattr(config, name)
        return _is_power_of_two(value) and low <= value <= high

    return name, f"a power of two in {low}..{high}", holds


def _or_zero(rule: Rule) -> Rule:
    name, must_be, holds = rule
    return name, f"0 or {must_be}", lambda c: getattr(c, name) == 0 or holds(c)


def _least_without_tiles(name: str, least: int) -> Rule:
    return (
        name,
        f"{least} without partial_depth or with 4-bit weights",
        lambda c: getattr(c, name) == least or (c.weight_bits == 8 and c.partial_depth > 0),
    )


#: Parameter, what it must be, and whether it is. The first rule that is broken is reported.
RULES: tuple[Rule, ...] = (
    _depth("rows", 2, 64),
    _in("cols", 2, 16),
    (
        "requantizers",
        lambda c: f"a divisor of rows ({c.rows}), 2 * rows or None",
        lambda c: (
            c.requantizers is None
            or c.requantizers == 2 * c.rows
            or (0 < c.requantizers <= c.rows and c.rows % c.requantizers == 0)
        ),
    ),
    (
        "requantizers",
        lambda c: f"at most {c.rows} with partial_depth or fewer than 4 cols",
        lambda c: c.result_words == 1 or (c.partial_depth == 0 and c.cols >= 4),
    ),
    (
        "requantizers",
        lambda c: f"at most {c.rows} without early_parameters or without prefetch",
        lambda c: c.result_words == 1 or (c.early_parameters and c.prefetch),
    ),
    (
        "requantizers",
        lambda c: f"at most {c.rows // 2} with pipelined=False",
        lambda c: c.pipelined or c.requantizer_count < c.rows,
    ),
    ("partial_depth", "0 with pipelined=False", lambda c: c.partial_depth == 0 or c.pipelined),
    ("offset_depth", "0 with pipelined=False", lambda c: c.offset_depth == 0 or c.pipelined),
    ("shared_words", "False with pipelined=False", lambda c: not c.shared_words or c.pipelined),
    (
        "stacked_images",
        "False without shared_words",
        lambda c: not c.stacked_images or c.shared_words,
    ),
    ("double_reads", "False with pipelined=False", lambda c: not c.double_reads or c.pipelined),
    (
        "folds",
        lambda c: f"in 0..{_most_folds(c)}, log2(requantizers) or log2(rows)",
        lambda c: 0 <= c.folds <= _most_folds(c),
    ),
    ("folds", "0 with pipelined=False", lambda c: c.folds == 0 or c.pipelined),
    ("folds", "0 with partial_depth", lambda c: c.folds == 0 or c.partial_depth == 0),
    ("split_columns", "False with pipelined=False", lambda c: not c.split_columns or c.pipelined),
    (
        "split_columns",
        "False with fewer than 4 cols",
        lambda c: not c.split_columns or c.cols >= 4,
    ),
    (
        "split_columns",
        "False with partial_depth or wide_maps",
        lambda c: not (c.split_columns and (c.partial_depth or c.wide_maps)),
    ),
    ("wide_maps", "False with 4-bit weights", lambda c: not c.wide_maps or c.weight_bits == 8),
    ("wide_maps", "False with pipelined=False", lambda c: not c.wide_maps or c.pipelined),
    (
        "wide_maps",
        "False with early_parameters=False",
        lambda c: not c.wide_maps or c.early_parameters,
    ),
    (
        "wide_maps",
        "False with more requantizers than rows",
        lambda c: not (c.wide_maps and c.result_words > 1),
    ),
    ("wide_maps", "False with partial_depth", lambda c: not (c.wide_maps and c.partial_depth)),
    _one_of("weight_bits", 4, 8),
    _in("acc_width", 16, 32),
    _in("data_width", 9, 18),
    _in("kernel_width", 8, 16),
    (
        "transform_at_load",
        "False with a kernel_width of 8",
        lambda c: not c.transform_at_load or c.kernel_width > 8,
    ),
    _or_zero(_depth("partial_depth", 2, 4096)),
    _least_without_tiles("data_width", 9),
    _least_without_tiles("kernel_width", 8),
    _in("multiplier_width", 8, 31),
    ("rounding", '"half_even" or "double"', lambda c: c.rounding in get_args(Rounding)),
    (
        "multiplier_width",
        '31 with rounding="double"',
        lambda c: c.rounding == "half_even" or c.multiplier_width == 31,
    ),
    _in("act_depth", 16, 65536),
    _depth("weight_depth"),
    _depth("out_depth"),
    _or_zero(_depth("offset_depth")),
    _in("offset_fraction", 0, 8),
    _in("mask_fraction", 0, 8),
    _in("tables", 0, 15),
    _one_of("bus_width", 32, 64, 128),
    _in("addr_width", 12, 32),
    (
        "queue_depth",
        "a multiple of 4, in 8..256",
        lambda c: c.queue_depth % 4 == 0 and 8 <= c.queue_depth <= 256,
    ),
    _in("count_width", 6, 16),
    (
        "burst_beats",
        "a power of two of at most 128 beats and 2048 bytes",
        lambda c: (
            _is_power_of_two(c.burst_beats)
            and c.burst_beats <= 128
            and c.burst_beats * c.bus_bytes <= 2048
        ),
    ),
    _in("outstanding", 1, 16),
    ("dsp", "a family's name", lambda c: c.dsp.isidentifier()),
)
