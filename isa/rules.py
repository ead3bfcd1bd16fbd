"""What a command may say to an engine: one list, for the compiler, program files and executors.

Rules of two kinds. Hardware stops at a command that breaks one of the first kind, with its status,
and so does the executor. Those of the second kind say ``otherwise``: tools refuse a command that
breaks one, since it makes no sense; but what hardware does with it is defined, and the executor
does the same, in the same cycles. A strict executor holds all rules (``Machine(strict=True)``, as
``simulate`` has it).

What depends on more than a command and the engine is no rule. It shows in a run:

- bytes outside of the memory: READ_ERROR or WRITE_ERROR, as the bus answers;
- commands that wait for each other, or never end: WATCHDOG;
- more fetched commands than a queue holds: BAD_COMMAND;
- what lies in buffers: weights of a maximum that are not 0 or 1, masks above 1, steps of a kernel's
  transform that do not fit its taps, positions in rows that are not on chip, windows that need more
  than ``data_width`` bits, pixels beyond the activation buffer. Hardware does not look at them;
  what it makes of them is defined as above, and a strict executor refuses them;
- rows that share words, or whose columns are split, whose numbers do not agree, and pairs of
  results that cannot be written together: hardware goes on with what is not defined, and every
  executor refuses them;
- commands that use what another one changes, without waiting for it, or a command that reads what
  it writes itself: which comes first is not defined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

from tilewright.errors import Error
from tilewright.isa import sense
from tilewright.isa.commands import (
    ISA_VERSION,
    Check,
    Command,
    Compute,
    Deform,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.isa.config import EngineConfig
from tilewright.isa.halves import SPLIT_RULES
from tilewright.isa.images import IMAGE_RULES, is_stacked
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS
from tilewright.isa.layout import reach
from tilewright.isa.passes import is_split, least_last_parts
from tilewright.isa.products import PRODUCT_RULES
from tilewright.isa.registers import Status
from tilewright.isa.tiles import MAX_TAPS, MAX_TILE_COLUMNS, MAX_TILE_ROWS
from tilewright.isa.wide import WIDE_RULES, ordered_bounds, reads_wide, writes_wide
from tilewright.isa.widths import (
    act_addr_width,
    load_count_width,
    result_count_width,
    store_count_width,
)
from tilewright.isa.words import WORD_RULES

#: Commands that one run may have, so that every run of an executor ends.
MAX_COMMANDS = 1 << 20

#: Words that one load or store may move.
MAX_WORDS = 1 << 22

WRAPS = "addresses wrap, and fall back behind a buffer's end (isa.widths.folded)"


class RuleError(Error):
    """A command says what the engine refuses.

    ``status`` : which hardware then shows, if it stops
    """

    def __init__(self, message: str, status: Status = Status.BAD_COMMAND) -> None:
        super().__init__(message)
        self.status = status


Holds = Callable[[EngineConfig, Any], bool]


@dataclass(frozen=True)
class Rule:
    """Something that a command must say.

    Parameters
    ----------
    commands : the kinds of command that it is for
    text : completes "must have", for people
    holds : whether a command keeps it in an engine
    status : Status of a run that breaks it
    otherwise : what hardware and executor do with a command that breaks it; "" if they stop
    """

    commands: tuple[type[Command], ...]
    text: str
    holds: Holds
    status: Status = Status.BAD_COMMAND
    otherwise: str = ""


_WORDS = (LoadWeights, LoadTable, LoadOffsets, LoadKernelSteps)
_MAPS = (LoadActivations, Store)
TO_MEMORY = (*_WORDS, *_MAPS, Fetch, LoadKernels)


def _counts(width: int, *values: int) -> bool:
    return all(0 < value < 1 << width for value in values)


_MEMORY = (
    Rule(
        (Check,),
        "the version and the digest of the engine",
        lambda config, c: (c.version, c.digest) == (ISA_VERSION, config.digest),
        Status.CONFIG_MISMATCH,
    ),
    Rule(
        TO_MEMORY,
        "an address of whole bus beats, and one that the engine has",
        lambda config, c: not (c.address % config.bus_bytes or c.address >> config.addr_width),
    ),
    Rule(
        (Fetch,),
        "a unit, and 1..queue_depth commands",
        lambda config, c: c.unit <= max(Unit) and 0 < c.count <= config.queue_depth,
    ),
    Rule(
        _MAPS, "strides of whole bus beats", lambda config, c: not c.group_stride % config.bus_bytes
    ),
    Rule(
        (LoadActivations,),
        "counts of groups, rows and pixels as the buffers have",
        lambda config, c: _counts(load_count_width(config), c.groups, c.height, c.width),
    ),
    Rule(
        (LoadActivations,),
        "pixels of a size that the engine takes",
        lambda config, c: not c.pixel or c.pixel_bytes in config.pixel_sizes,
    ),
    Rule(
        _WORDS,
        "1 word or more, and no more than any buffer holds",
        lambda config, c: _counts(load_count_width(config), c.words),
    ),
    Rule(
        (LoadWeights,),
        "whole words, and wide ones only where kernel_width is above 8",
        lambda config, c: not c.wide or (config.kernel_width > 8 and not c.words % 2),
    ),
    Rule((LoadTable,), "an engine with tables", lambda config, c: config.tables > 0),
    Rule(
        (LoadOffsets, Deform), "an engine with a sampler", lambda config, c: config.offset_depth > 0
    ),
    Rule(
        (LoadKernelSteps, LoadKernels),
        "an engine that transforms kernels",
        lambda config, c: config.transform_at_load,
    ),
    Rule(
        (LoadKernelSteps,),
        f"at most {MAX_KERNEL_STEPS} steps",
        lambda config, c: c.words <= MAX_KERNEL_STEPS,
    ),
    Rule(
        (LoadKernels,),
        f"1..{MAX_KERNEL_TAPS} taps, 1..{MAX_KERNEL_STEPS} steps, channels as the buffers have",
        lambda config, c: (
            0 < c.taps <= MAX_KERNEL_TAPS
            and 0 < c.steps <= MAX_KERNEL_STEPS
            and _counts(load_count_width(config), c.channels)
        ),
    ),
    Rule(
        (LoadKernels,),
        "at most term_step channels",
        lambda config, c: c.channels <= c.term_step,
        otherwise="results are written channel by channel, over those before",
    ),
    Rule(
        (Store,),
        "counts of groups, rows and pixels as the buffer has",
        lambda config, c: _counts(store_count_width(config), c.groups, c.height, c.width),
    ),
    Rule(
        _MAPS,
        f"at most {MAX_WORDS} words: a run has an end",
        lambda config, c: c.groups * c.height * c.width <= MAX_WORDS,
        Status.WATCHDOG,
    ),
    Rule(
        (LoadActivations,),
        "places within the activation buffer",
        sense.lane_words,
        otherwise=WRAPS,
    ),
    Rule(
        (LoadTable,),
        "entries within the tables",
        lambda config, c: c.base + c.words <= 256 * config.tables,
        otherwise=WRAPS,
    ),
    Rule(
        (Store,),
        "no more words than the output buffer has",
        lambda config, c: c.groups * c.height * c.width <= config.out_depth,
        otherwise="the output buffer is a ring",
    ),
    Rule(
        TO_MEMORY,
        "bytes within the engine's addresses",
        lambda config, c: c.address + reach(config, c) <= 1 << config.addr_width,
        otherwise="addresses wrap",
    ),
)


def _compute(
    text: str, holds: Callable[[EngineConfig, Compute], bool], otherwise: str = ""
) -> Rule:
    return Rule((Compute,), text, holds, otherwise=otherwise)


_COMPUTE = (
    _compute(
        "options that the engine has: maxima, products, partial sums, transforms, shared words, "
        "folds or tables",
        lambda config, c: (
            not (c.product and not config.multiplies_maps)
            and not (c.maximum and not config.maximum)
            and not (c.partial and not config.partial_depth)
            and not (c.transform and config.data_width == 9)
            and not (c.accesses and not config.shared_words)
            and not c.fold > config.folds > 0
            and c.table <= config.tables
        ),
    ),
    _compute(
        "segments of rows that the engine has",
        lambda config, c: config.least_segment_log2 <= c.segment_log2 < config.rows.bit_length(),
    ),
    _compute(
        "segments of 1..2**segment_log2 steps, or of none in a product",
        lambda config, c: (
            c.segment <= 1 << c.segment_log2 and 0 < c.last_segment <= 1 << c.segment_log2
        ),
    ),
    _compute(
        "at least one kernel group, output row, output word, channel group, kernel row and column",
        lambda config, c: 0 not in (c.n_kg, c.n_oy, c.n_ox, c.n_cg, c.n_r, c.n_s, c.out_w),
    ),
    _compute(
        "counts as the buffers have",
        lambda config, c: (
            _counts(result_count_width(config), c.n_kg, c.n_oy, c.n_ox, c.out_w)
            and _counts(act_addr_width(config) + 1, c.n_cg)
        ),
    ),
    _compute(
        "strides of 1 or more, and results that the drain can place",
        lambda config, c: (
            c.stride_x > 0
            and c.dst_step > 0
            and (not c.to_act or c.dst_step % config.cols > 0)
            and c.dst_lane < config.cols
        ),
    ),
    _compute(
        f"tiles of 1..{MAX_TILE_ROWS} x 1..{MAX_TILE_COLUMNS} results, one kernel group, and "
        "neighbouring columns",
        lambda config, c: (
            not c.partial
            or (
                1 <= c.last_h <= c.tile_h <= MAX_TILE_ROWS
                and 1 <= c.tile_w <= MAX_TILE_COLUMNS
                and c.dst_step == c.tile_w
                and c.n_kg == 1
            )
        ),
    ),
    *(_compute(*rule) for rule in (*PRODUCT_RULES, *WORD_RULES, *WIDE_RULES, *IMAGE_RULES)),
    *(_compute(*rule) for rule in SPLIT_RULES),
    _compute("lanes below cols", lambda config, c: max(c.x0_lane, c.s_lane) < config.cols),
    _compute(
        f"a transform of all taps, at most {MAX_TAPS}, of windows of one access",
        lambda config, c: (
            not c.transform
            or (
                c.taps == c.n_r * c.n_s and c.taps <= MAX_TAPS and gcd(c.stride_x, config.cols) == 1
            )
        ),
    ),
    Rule((Compute,), "no more work than a run that has an end", sense.work, Status.WATCHDOG),
    _compute("qmin of at most qmax", ordered_bounds, "what is below qmin is qmin"),
    _compute(
        "an out_w that ends in the last output word",
        lambda config, c: (
            c.accesses > 0
            or is_split(config, c)
            or 0 < c.out_w - (c.n_ox - 1) * config.cols <= config.cols
        ),
        "each word counts its pixels off out_w, modulo the width of the counter",
    ),
    _compute(
        "words and lanes that are those of the columns",
        sense.split,
        "words and lanes say where pixels are, columns whether they are inside",
    ),
    _compute(
        "columns that the engine counts", sense.columns, "columns wrap, as their counter does"
    ),
    _compute("rows that the engine counts", sense.rows, "rows wrap, as their counter does"),
    _compute(
        "steps in a ring that are shorter than it",
        sense.ring,
        "a step goes back by act_ring at most once, and wraps",
    ),
    _compute("results within the activation buffer", sense.places, WRAPS),
    _compute("no more results than the buffers hold", sense.results, WRAPS),
    _compute(
        "one pass, and no partial sums, if it resumes",
        lambda config, c: not c.resume or (c.n_kg == c.n_oy == c.n_ox == 1 and not c.partial),
        "every pass goes on from the one before",
    ),
    _compute(
        "partial sums within partial_depth",
        lambda config, c: (
            not c.partial
            or c.n_oy * c.n_ox * c.tile_w * config.drain_cycles <= config.partial_depth
        ),
        "their memory is a ring",
    ),
)

_DEFORM = (
    Rule(
        (Deform,),
        "fractions that the engine has",
        lambda config, c: (
            c.fraction <= config.offset_fraction and c.mask_fraction <= config.mask_fraction
        ),
    ),
    Rule(
        (Deform,),
        "bytes of a word, that of dy even",
        lambda config, c: not c.offset_byte % 2 and max(c.offset_byte, c.mask_byte) < config.rows,
    ),
    Rule(
        (Deform,),
        "an odd row_pitch, channel groups that share positions, and 1..cols last_parts",
        lambda config, c: c.row_pitch % 2 == 1 and c.shared > 0 and 0 < c.last_parts <= config.cols,
    ),
)

RULES = (*_MEMORY, *_COMPUTE, *_DEFORM)

PairHolds = Callable[[EngineConfig, Compute, Deform], bool]

#: Of a compute command with the Deform before it: text, whether it is kept, and ``otherwise``.
PAIR_RULES: tuple[tuple[str, PairHolds, str], ...] = (
    (
        "windows that are sampled, no others",
        lambda config, c, d: (
            not (
                c.transform
                or c.accesses
                or is_stacked(config, c)
                or c.product
                or reads_wide(config, c)
                or writes_wide(config, c)
                or is_split(config, c)
            )
        ),
        "",
    ),
    (
        "as many taps as its Deform",
        lambda config, c, d: d.taps == c.n_r * c.n_s,
        "the Deform's decide which offset comes next",
    ),
    (
        "a ring of an even number of its Deform's rows",
        lambda config, c, d: c.act_ring % (2 * d.row_pitch) == 0,
        "of two rows in one half of a lane, the lower one is read from the other half",
    ),
    (
        "a Deform with as many samples in the last word as that needs",
        lambda config, c, d: least_last_parts(config, c) <= d.last_parts,
        "it runs unless weights or results catch up with those before (isa.passes.overruns)",
    ),
    (
        "a ring that holds its Deform's rows",
        lambda config, c, d: d.row_base < c.act_ring and d.rows * d.row_pitch <= c.act_ring,
        "a row goes back by act_ring at most once, and wraps",
    ),
)

_BY_KIND: dict[type[Command], tuple[Rule, ...]] = {}
for _rule in RULES:
    for _kind in _rule.commands:
        _BY_KIND[_kind] = (*_BY_KIND.get(_kind, ()), _rule)


def broken(config: EngineConfig, command: Command, *, strict: bool = True) -> Rule | None:
    """Return the first rule that a command breaks; if not ``strict``, of the hardware's."""
    for rule in _BY_KIND.get(type(command), ()):
        if (strict or not rule.otherwise) and not rule.holds(config, command):
            return rule
    return None


def check_command(
    config: EngineConfig, command: Command, deform: Deform | None = None, *, strict: bool = True
) -> None:
    """Refuse a command that an engine does not take.

    Parameters
    ----------
    deform : Deform, that stands before a compute command, if one does
    strict : also refuse what makes no sense, though hardware takes it

    Raises
    ------
    RuleError
        With the rule, and the status that hardware shows.
    """
    rule = broken(config, command, strict=strict)
    name = type(command).__name__
    if rule is not None:
        raise RuleError(f"{name} must have {rule.text}", rule.status)
    if deform is not None and isinstance(command, Compute):
        for text, holds, otherwise in PAIR_RULES:
            if (strict or not otherwise) and not holds(config, command, deform):
                raise RuleError(f"{name} must have {text}")
