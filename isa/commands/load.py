"""The commands of the load unit."""

from __future__ import annotations

from tilewright.isa.commands.base import ISA_VERSION, Command, Unit, command
from tilewright.isa.fields import bits


@command
class Load(Command):
    """Base of the load unit's commands."""

    UNIT = Unit.LOAD

    wait_compute: int = bits(16, "compute commands to be complete first (mod 2**16)", default=0)
    wait_store: int = bits(16, "store commands to be complete first (mod 2**16)", default=0)


@command
class Check(Load):
    """Refuse to run unless the engine has this ISA version and configuration digest."""

    OPCODE = 1

    digest: int = bits(32, "EngineConfig.digest of the engine the program was compiled for")
    version: int = bits(16, "ISA_VERSION of the program", default=ISA_VERSION)


@command
class Fetch(Load):
    """Read ``count`` commands of ``unit`` into its queue."""

    OPCODE = 2

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    unit: int = bits(2, "whose queue: 0 load, 1 compute, 2 store")
    count: int = bits(16, "commands, 1..queue_depth/2")


@command
class LoadActivations(Load):
    """Read ``groups`` x ``height`` x ``width`` pixel words into the activation buffer.

    Pixel x of a row goes to lane ``x % cols``, word ``x // cols`` of the row. Rows follow one
    another in memory, each padded to whole bus beats. Pixels may lie in memory in fewer bytes than
    ``rows``; the bytes above them are zero in the buffer.
    """

    OPCODE = 3

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    groups: int = bits(16, "channel groups of `rows` channels")
    group_stride: int = bits(32, "bytes from one group to the next")
    height: int = bits(16, "rows per group")
    width: int = bits(16, "pixels per row")
    base: int = bits(16, "lane word of the first pixel")
    row_step: int = bits(16, "lane words from one row to the next")
    group_step: int = bits(16, "lane words from one group to the next")
    pixel: int = bits(3, "bytes of a pixel in memory: 0 for `rows`, else 1 + log2", default=0)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in memory; 0 for ``rows``."""
        return (1 << self.pixel) >> 1


@command
class LoadWeights(Load):
    """Read ``words`` times ``rows`` bytes into the weight buffer, wrapping at its end.

    They hold one weight word each, two of 4-bit weights, or half of one of transformed weights,
    which have up to 16 bits (then ``base`` counts weight words).
    """

    OPCODE = 4

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    words: int = bits(16, "times `rows` bytes")
    base: int = bits(16, "place of the first, in as many")
    wide: int = bits(1, "1: of each weight word first the low bytes, then those above", default=0)


@command
class LoadTable(Load):
    """Read ``words`` entries of activation tables, from entry ``base`` on.

    Table t of :class:`Compute` is entries ``256 * (t - 1)`` on. In memory an entry is the first of
    ``rows`` bytes.
    """

    OPCODE = 6

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    words: int = bits(16, "entries")
    base: int = bits(16, "first entry")


@command
class LoadOffsets(Load):
    """Read ``words`` times ``rows`` bytes into the offset buffer, wrapping at its end.

    Rows of pixel words of a channel group follow one another in memory, and so they do in the
    buffer: from one to the next it is as many words, where a row's padding counts as words.
    """

    OPCODE = 7

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    words: int = bits(16, "times `rows` bytes")
    base: int = bits(16, "place of the first in the buffer")


@command
class LoadKernelSteps(Load):
    """Read how :class:`LoadKernels` transforms kernels: ``words`` steps, from the first on.

    In memory a step (:class:`~tilewright.isa.kernel_steps.KernelStep`) is the first two of
    ``rows`` bytes. Only engines with ``transform_at_load`` have this command and the next.
    """

    OPCODE = 8

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    words: int = bits(16, "steps, 1..256")


@command
class LoadKernels(Load):
    """Read kernels, transform them and write the results into the weight buffer.

    In memory lie the ``taps`` weight words of each channel, filled up to whole bus beats. All steps
    are done for one channel after another. The n-th result of channel c goes to weight word
    ``base + n * term_step + c``, modulo the buffer's size.
    """

    OPCODE = 9

    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    base: int = bits(16, "weight word of the first result of the first channel")
    term_step: int = bits(16, "weight words from one result of a channel to the next")
    steps: int = bits(16, "steps of the transform, 1..256")
    channels: int = bits(16, "input channels, at most term_step")
    taps: int = bits(16, "weight words of each channel, 1..16")


@command
class End(Load):
    """Complete the run: set the done status and raise the interrupt."""

    OPCODE = 5
