"""What an engine is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from math import gcd
from typing import ClassVar

from tilewright.errors import Error, require_type
from tilewright.isa.commands import Unit
from tilewright.isa.ranges import RULES, Rounding


class ConfigError(Error):
    """An engine configuration that no hardware can be built from."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Parameters of one segment-broadcast engine; hashable, and the same in hardware and compiler.

    Activations are bytes (2..8-bit values are sign- or zero-extended into them), weights bytes or
    half bytes.

    Parameters
    ----------
    rows : int, power of two, 2..64
        Output channels computed at once; also the channels of one pixel word.
    cols : int, 2..16
        Neighbouring output pixels computed at once; also the lanes of the activation buffer.
        An odd number reads every window of stride 1..4 in one access (7 also divides the
        224/112/56/28/14/7 family of feature maps).
    requantizers : int or None, divides rows, or 2 * rows
        Requantization pipelines; a pass of the array takes at least
        ``cols * rows / requantizers`` cycles. None means one per row. With ``2 * rows``, two pixel
        words of results leave the array in a cycle, where both can be written (see ``pair`` of
        ``Compute``); not with tiles (``partial_depth``), and from 4 columns on.
    weight_bits : int, 8 or 4
        4: weights of at most 4 bits, and one multiplier for the two products of a pair of rows,
        whose activation must be the same: a layer without common channels (depthwise) runs at one
        product per multiplier.
    acc_width : int, bits, 16..32
        Width of the accumulators and biases; a layer that may need more is refused.
    data_width : int, bits, 9..18
        Width of the array's activation operand. More than 9 lets windows be sums of several taps:
        Winograd transforms of the data, as far as they fit.
    kernel_width : int, bits, 8..16
        Width of the array's weight operand; more than 8 for Winograd transforms of the kernel.
    transform_at_load : bool
        The load unit can transform kernels, so that memory holds them as they are.
    partial_depth : int, power of two up to 4096, or 0
        Partial sums that each requantizer keeps between commands, times four result rows. Winograd
        transforms need them: ``drain_cycles`` for each word of output pixels and result column.
    shared_words : bool
        A pass can have pixels of several rows, where rows of results are no whole words of ``cols``
        pixels. Not for windows that are sampled or summed, nor for tiles.
    stacked_images : bool
        Rows of a command's results can be those of several images, one behind the other, so that
        images share words, too. With ``shared_words`` only.
    double_reads : bool
        Even and odd words of a lane lie in memories of their own, as in engines with a sampler, and
        an access reads one of each: with an even number of columns, windows of a stride of 2 (or 6,
        10, 14, where 2 is all that they share with ``cols``) take one access instead of two.
    folds : int, 0..log2(requantizers), and of rows
        How often the rows can be halved: with 1, rows of the upper half can sum other channels of
        the outputs of the lower half, and both sums are added behind the array; with 2, rows of
        four quarters, and so on. So an output channel group of few channels keeps all rows busy.
        Each takes ``requantizers / 2**k`` adders and a cycle. Not with tiles (``partial_depth``).
    split_columns : bool
        A command can use the array as one of twice the rows and half the columns: columns of the
        upper half have the pixels of the lower half, other input channels and weights of their own,
        and both sums are added behind the array. So maps of few pixels, and fully connected layers,
        take half the steps. Takes a second weight word a cycle, an adder for each requantizer and a
        cycle. For pipelined engines of 4 columns or more without ``partial_depth`` or
        ``wide_maps``.
    wide_maps : bool
        Feature maps of up to 16 bits: each row is two rows of bytes, high ones and then low ones,
        which the array reads in turns, and results are written as such pairs of rows. The array's
        weight operand then has 16 bits. For pipelined engines of 8-bit weights without
        ``partial_depth``, with ``early_parameters`` and at most ``rows`` requantizers.
    tables : int, 0..15
        Activation functions held at once, as tables of 256 entries behind the requantizers.
    maximum : bool
        Accumulators can keep the larger value, for maximum pooling. Without it, such layers are
        refused.
    products : bool
        The array can multiply two feature maps, pixel by pixel: see ``multiplies_maps``. Without
        it, such layers are refused.
    multiplier_width : int, bits, 8..31
        Width of the requantization multiplier M. 18 is one DSP, 31 is exact (see the design).
    rounding : "half_even" or "double"
        How requantizers round. "half_even": once, ties to even, as PyTorch, Brevitas and ONNX do.
        "double": as TFLite's reference kernels do, which is for convolutions at bit 31 of the
        product, half up, and then again, half away from zero, and for fully connected layers only
        the latter; it takes ``multiplier_width=31``. A program is for one of them.
    act_depth : int, 16..65536
        Pixel words per lane of the activation buffer (``act_bytes`` in all).
    weight_depth : int, power of two, 16..65536
        Words of ``rows`` weights in the weight buffer, addressed as a ring.
    out_depth : int, power of two, 16..65536
        Pixel words in the output buffer, addressed as a ring.
    offset_depth : int, power of two, 16..65536, or 0
        Words of ``rows`` bytes in the buffer of offsets and masks of deformable convolutions,
        addressed as a ring. 0: the engine has no sampler for them.
    offset_fraction : int, bits, 0..8
        Bits of an offset below the point, at most: what the sampler interpolates with. 0: positions
        are pixels, and nothing is interpolated.
    mask_fraction : int, bits, 0..8
        Bits of a mask below the point, at most; 0: there are no masks.
    bus_width : int, 32, 64 or 128
        AXI data width in bits.
    addr_width : int, bits, 12..32
        Bytes that the engine can address from address 0 on: ``2**addr_width``.
    queue_depth : int, a multiple of 4, 8..256
        Commands that each unit's queue holds.
    count_width : int, bits, 6..16
        Width of the counts of completed commands, which commands wait for; STATUS has as many
        bits of a command's index. A program in which one unit could run so far ahead of another
        that the counts are ambiguous is refused.
    early_parameters : bool
        The requantization parameters of a kernel group arrive while the last results of the one
        before are on their way. False saves a register for each; a kernel group then waits for
        ``parameter_pause`` cycles more.
    prefetch : bool
        The next command moves to a register while one runs. False saves that register: commands
        run in place, the next one moves there when one is complete (a compute command with its
        last result), and bits that mean nothing are not kept: what should be zero is not checked.
    pipelined : bool
        Registers that serve the clock frequency only. False leaves many of them out, where
        12..20 MHz are enough; ``requantizers`` must then be at most half of ``rows``: results
        are written when no load is.
    counters : bool
        Counters of cycles and events, and the watchdog. Without them, their registers read as 0.
    burst_beats : int, power of two, 1..128
        Longest AXI burst; ``burst_beats * bus_width / 8`` is at most 2048 bytes, and bursts are
        aligned to it, so none crosses 4 KiB.
    outstanding : int, 1..16
        Read bursts in flight.
    dsp : str
        Family of FPGAs whose primitives are used: "ecp5", "gowin", "ice40" or another module of
        :mod:`tilewright.hdl.families`, which may narrow the ranges above; "inferred" leaves them to
        synthesis. No command depends on it.

    Raises
    ------
    ConfigError
        If a parameter is out of range; the message names it.
    ArgumentError
        If one is of another type.
    """

    #: After a compute command has left the array, its last result is written within this many
    #: cycles and ``single_drain_cycles``: an upper bound that the hardware keeps.
    RESULT_LATENCY: ClassVar[int] = 64

    rows: int = 16
    cols: int = 7
    requantizers: int | None = None
    weight_bits: int = 8
    acc_width: int = 32
    data_width: int = 9
    kernel_width: int = 8
    transform_at_load: bool = False
    partial_depth: int = 0
    shared_words: bool = False
    stacked_images: bool = False
    double_reads: bool = False
    folds: int = 0
    split_columns: bool = False
    wide_maps: bool = False
    tables: int = 0
    maximum: bool = True
    products: bool = True
    multiplier_width: int = 18
    rounding: Rounding = "half_even"
    act_depth: int = 1024
    weight_depth: int = 4096
    out_depth: int = 1024
    offset_depth: int = 0
    offset_fraction: int = 8
    mask_fraction: int = 8
    bus_width: int = 64
    addr_width: int = 32
    queue_depth: int = 32
    count_width: int = 16
    early_parameters: bool = True
    prefetch: bool = True
    pipelined: bool = True
    counters: bool = True
    burst_beats: int = 32
    outstanding: int = 4
    dsp: str = "inferred"

    def __post_init__(self) -> None:
        for field in fields(self):
            kinds = (int, type(None)) if field.name == "requantizers" else (type(field.default),)
            require_type("EngineConfig", field.name, getattr(self, field.name), *kinds)

        for name, must_be, holds in RULES:
            if not holds(self):
                text = must_be if isinstance(must_be, str) else must_be(self)
                raise ConfigError(f"{name} must be {text}, not {getattr(self, name)!r}")

    def __hash__(self) -> int:
        """Return a hash that is found once: the compiler's caches ask for it all the time."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Of numbers only: those of texts differ between processes, which hand engines over.
        return hash(tuple(v for f in fields(self) if isinstance(v := getattr(self, f.name), int)))

    @property
    def requantizer_count(self) -> int:
        """Requantization pipelines, with the default filled in."""
        return self.rows if self.requantizers is None else self.requantizers

    @property
    def drain_cycles(self) -> int:
        """Cycles in which the results of one pass leave the array, and so the shortest pass."""
        return -(-self.cols * self.rows // self.requantizer_count)

    @property
    def rows_per_requantizer(self) -> int:
        """Rows that share a requantizer, or 1 where each row has one or two."""
        return max(1, self.rows // self.requantizer_count)

    @property
    def crowded_lanes(self) -> int:
        """Lanes, from 0 on, into which results come in two cycles that follow one another.

        Where each row of the array has a requantizer: the last result of a row and the first one of
        the next, if rows share words; of tiles of two columns, if there are three lanes, the last
        one of the first column and the first one of the second.
        """
        if self.rows_per_requantizer > 1:
            return 0
        return 3 if self.partial_depth and self.cols == 3 else int(self.shared_words)

    @property
    def result_words(self) -> int:
        """Pixel words of results that leave the array in a cycle, where both can be written."""
        return max(1, self.requantizer_count // self.rows)

    @property
    def single_drain_cycles(self) -> int:
        """Cycles in which the results of one pass leave where no two words do in a cycle."""
        return self.cols if self.result_words == 2 else self.drain_cycles

    def command_bytes(self, unit: Unit) -> int:
        """Bytes of one command of a unit."""
        return unit.least_bytes * (2 if unit is Unit.COMPUTE and self.compute_options else 1)

    @property
    def fold_cycles(self) -> int:
        """Cycles in which sums that are parts of one are added, behind the array."""
        return self.folds + self.split_columns

    @property
    def compute_options(self) -> bool:
        """Whether compute commands have room for options."""
        words = self.result_words > 1 or self.shared_words
        sums = self.partial_depth > 0 or self.folds > 0 or self.split_columns
        return words or sums or self.wide_maps

    @property
    def lane_halves(self) -> int:
        """Memories of a lane of the activation buffer: one, or of even and of odd words."""
        return 2 if self.offset_depth or self.double_reads else 1

    @property
    def window_width(self) -> int:
        """Bits of a pixel of a window: a byte, or a sum of several."""
        return 8 if self.data_width == 9 else self.data_width

    @property
    def multiplies_maps(self) -> bool:
        """Whether the array multiplies two maps: ``products``, of bytes, in a pipelined engine."""
        return self.products and self.weight_bits == 8 and self.pipelined

    @property
    def weight_width(self) -> int:
        """Bits of a weight as the array gets it."""
        return self.kernel_width if self.weight_bits == 8 else 4

    @property
    def bus_bytes(self) -> int:
        """Bytes per AXI beat."""
        return self.bus_width // 8

    @property
    def beat_pixels(self) -> int:
        """Pixel words after which a row in memory can be cut: whole beats."""
        return self.bus_bytes // gcd(self.bus_bytes, self.rows)

    @property
    def pixel_sizes(self) -> tuple[int, ...]:
        """Bytes that a pixel of few channels may have in memory instead of ``rows``."""
        if self.rows <= self.bus_bytes:
            return ()
        return tuple(1 << i for i in range(self.bus_bytes.bit_length()))

    @property
    def param_words(self) -> int:
        """Weight words before a weight block that hold bias, multiplier and shift of each row.

        And a bit, in an engine that rounds twice: this row once only.
        """
        bits = self.acc_width + self.multiplier_width + 6 + (self.rounding == "double")
        return -(-bits // self.weight_bits)

    @property
    def parameter_pause(self) -> int:
        """Cycles for which a kernel group waits for the results of the one before."""
        wait = 0 if self.early_parameters else self.drain_cycles + 1
        return wait + (not self.pipelined)  # which has them a cycle earlier

    @property
    def least_segment_log2(self) -> int:
        """Log2 of the rows that always have the same activation."""
        return 0 if self.weight_bits == 8 else 1

    @property
    def weights_per_byte(self) -> int:
        """Weight words in as many bytes as there are rows: what is loaded as one."""
        return 8 // self.weight_bits

    @property
    def act_bytes(self) -> int:
        """Bytes in the activation buffer."""
        return self.act_depth * self.cols * self.rows

    @property
    def weight_bytes(self) -> int:
        """Bytes in the weight buffer."""
        return self.weight_depth * self.rows // self.weights_per_byte

    @property
    def out_bytes(self) -> int:
        """Bytes in the output buffer."""
        return self.out_depth * self.rows

    @property
    def offset_bytes(self) -> int:
        """Bytes in the offset buffer."""
        return self.offset_depth * self.rows

    @property
    def multipliers(self) -> int:
        """Cells of the array: the peak number of MACs per cycle."""
        return self.rows * self.cols

    def to_json(self) -> str:
        """Return the canonical text of this configuration, readable by :meth:`from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_fields(cls, values: Mapping[str, object]) -> EngineConfig:
        """Return the configuration with these parameters, by name.

        Raises
        ------
        ConfigError
            If there is no such parameter, or it is out of range.
        """
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"an engine has no parameter {min(unknown)!r}")
        return cls(**values)  # type: ignore[arg-type]  # which checks them

    @classmethod
    def from_json(cls, text: str) -> EngineConfig:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no configuration, or one that cannot be built.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"not an engine configuration: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError("an engine configuration is a JSON object")
        return cls.from_fields(values)

    @property
    def digest(self) -> int:
        """32-bit checksum of all that a program depends on; hardware refuses any other.

        ``dsp`` is left out: it changes how multipliers are built, not what they compute.
        """
        values = asdict(self)
        del values["dsp"]
        values["requantizers"] = self.requantizer_count
        # As those have that say nothing of it.
        if not self.multiplies_maps:
            del values["products"]
        if self.rounding == "half_even":
            del values["rounding"]
        for option in (
            "shared_words", "stacked_images", "double_reads", "folds", "split_columns", "wide_maps",
        ):  # fmt: skip
            if not values[option]:
                del values[option]
        return zlib.crc32(json.dumps(values, sort_keys=True).encode())
