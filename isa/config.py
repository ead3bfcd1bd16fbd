"""What an engine is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

from tilewright.errors import Error, require_type
from tilewright.isa.commands import Unit


class ConfigError(Error):
    """An engine configuration that no hardware can be built from."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


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
    requantizers : int or None, divides rows
        Requantization pipelines; a pass of the array takes at least
        ``cols * rows / requantizers`` cycles. None means one per row.
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
    tables : int, 0..15
        Activation functions held at once, as tables of 256 entries behind the requantizers.
    maximum : bool
        Accumulators can keep the larger value, for maximum pooling. Without it, such layers are
        refused.
    multiplier_width : int, bits, 8..31
        Width of the requantization multiplier M. 18 is one DSP, 31 is exact (see the design).
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
        Family of FPGAs whose primitives are used: "ecp5", "ice40" or another module of
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
    #: cycles and ``drain_cycles``: an upper bound that the hardware keeps.
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
    tables: int = 0
    maximum: bool = True
    multiplier_width: int = 18
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

        def check(ok: bool, name: str, must_be: str) -> None:
            if not ok:
                raise ConfigError(f"{name} must be {must_be}, not {getattr(self, name)!r}")

        check(
            _is_power_of_two(self.rows) and 2 <= self.rows <= 64, "rows", "a power of two in 2..64"
        )
        check(2 <= self.cols <= 16, "cols", "in 2..16")
        check(
            self.requantizers is None
            or (0 < self.requantizers <= self.rows and self.rows % self.requantizers == 0),
            "requantizers",
            f"a divisor of rows ({self.rows}) or None",
        )
        check(
            self.pipelined or self.requantizer_count < self.rows,
            "requantizers",
            f"at most {self.rows // 2} with pipelined=False",
        )
        for name in ("partial_depth", "offset_depth"):
            check(
                getattr(self, name) == 0 or self.pipelined,
                name,
                "0 with pipelined=False",
            )
        check(self.weight_bits in (4, 8), "weight_bits", "4 or 8")
        check(16 <= self.acc_width <= 32, "acc_width", "in 16..32")
        check(
            9 <= self.data_width <= 18,
            "data_width",
            "in 9..18",
        )
        check(8 <= self.kernel_width <= 16, "kernel_width", "in 8..16")
        check(
            not self.transform_at_load or self.kernel_width > 8,
            "transform_at_load",
            "False with a kernel_width of 8",
        )
        check(
            self.partial_depth == 0
            or (_is_power_of_two(self.partial_depth) and 2 <= self.partial_depth <= 4096),
            "partial_depth",
            "0 or a power of two of at most 4096",
        )
        for name, least in (("data_width", 9), ("kernel_width", 8)):
            check(
                getattr(self, name) == least or (self.weight_bits == 8 and self.partial_depth > 0),
                name,
                f"{least} without partial_depth or with 4-bit weights",
            )
        check(8 <= self.multiplier_width <= 31, "multiplier_width", "in 8..31")
        check(16 <= self.act_depth <= 65536, "act_depth", "in 16..65536")
        for name in ("weight_depth", "out_depth"):
            depth = getattr(self, name)
            check(
                _is_power_of_two(depth) and 16 <= depth <= 65536,
                name,
                "a power of two in 16..65536",
            )
        check(
            self.offset_depth == 0
            or (_is_power_of_two(self.offset_depth) and 16 <= self.offset_depth <= 65536),
            "offset_depth",
            "0 or a power of two in 16..65536",
        )
        for name in ("offset_fraction", "mask_fraction"):
            check(0 <= getattr(self, name) <= 8, name, "in 0..8")
        check(0 <= self.tables <= 15, "tables", "in 0..15")
        check(self.bus_width in (32, 64, 128), "bus_width", "32, 64 or 128")
        check(12 <= self.addr_width <= 32, "addr_width", "in 12..32")
        check(
            self.queue_depth % 4 == 0 and 8 <= self.queue_depth <= 256,
            "queue_depth",
            "a multiple of 4, in 8..256",
        )
        check(6 <= self.count_width <= 16, "count_width", "in 6..16")
        check(
            _is_power_of_two(self.burst_beats)
            and self.burst_beats <= 128
            and self.burst_beats * self.bus_bytes <= 2048,
            "burst_beats",
            "a power of two of at most 128 beats and 2048 bytes",
        )
        check(1 <= self.outstanding <= 16, "outstanding", "in 1..16")
        check(isinstance(self.dsp, str) and self.dsp.isidentifier(), "dsp", "a family's name")

    @property
    def requantizer_count(self) -> int:
        """Requantization pipelines, with the default filled in."""
        return self.rows if self.requantizers is None else self.requantizers

    @property
    def drain_cycles(self) -> int:
        """Cycles in which the results of one pass leave the array, and so the shortest pass."""
        return self.cols * self.rows // self.requantizer_count

    def command_bytes(self, unit: Unit) -> int:
        """Bytes of one command of a unit."""
        return unit.least_bytes * (2 if unit is Unit.COMPUTE and self.partial_depth else 1)

    @property
    def window_width(self) -> int:
        """Bits of a pixel of a window: a byte, or a sum of several."""
        return 8 if self.data_width == 9 else self.data_width

    @property
    def weight_width(self) -> int:
        """Bits of a weight as the array gets it."""
        return self.kernel_width if self.weight_bits == 8 else 4

    @property
    def bus_bytes(self) -> int:
        """Bytes per AXI beat."""
        return self.bus_width // 8

    @property
    def pixel_sizes(self) -> tuple[int, ...]:
        """Bytes that a pixel of few channels may have in memory instead of ``rows``."""
        if self.rows <= self.bus_bytes:
            return ()
        return tuple(1 << i for i in range(self.bus_bytes.bit_length()))

    @property
    def param_words(self) -> int:
        """Weight words before a weight block that hold bias, multiplier and shift of each row."""
        return -(-(self.acc_width + self.multiplier_width + 6) // self.weight_bits)

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
        return zlib.crc32(json.dumps(values, sort_keys=True).encode())
