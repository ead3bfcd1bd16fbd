"""Kernels of a channel to the weights of all terms of a tile, one addition after another."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.sums import add_with_carry
from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS, KernelStep
from tilewright.isa.widths import weight_addr_width

__all__ = ["KernelTransform"]

_STEP_WIDTH = sum(field.width for field in KernelStep.FIELDS)


class KernelTransform(wiring.Component):
    """Do all steps of a transform for one kernel after another.

    Two kernels have room: one is transformed while the next one comes.

    Parameters
    ----------
    config : EngineConfig    with ``transform_at_load``

    Members
    -------
    step_write : In(word_write); a :class:`KernelStep`, not while kernels are under way
    start : In(1)             a command begins; the next three must stay until ``final``
    base, term_step, steps : In; as in ``LoadKernels``
    room : Out(1)             another kernel may come
    take : In(1)              ``word`` is the next tap in the next cycle
    last : In(1)              with ``take``: it is its kernel's last tap
    word : In(8 * rows)
    ends : In(1)              no kernel comes after those that are here
    o : Out(word_write(kernel_width * rows)); the results
    final : Out(1)            with the last step of all, in the cycle of its result

    Timing
    ------
    A step each cycle: the first in the cycle after a kernel's last ``take``, or after the last step
    of the kernel before. A step's result is at ``o`` ``LATENCY`` cycles later. There is ``room``
    again in the cycle after a kernel's last step.
    """

    KERNELS = 2
    LATENCY = 5
    #: Rows that share the registers of a step.
    FAN_OUT = 4

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        addr = weight_addr_width(config)
        super().__init__(
            {
                "step_write": In(word_write(_STEP_WIDTH)),
                "start": In(1),
                "base": In(addr),
                "term_step": In(addr),
                "steps": In(range(MAX_KERNEL_STEPS + 1)),
                "room": Out(1),
                "take": In(1),
                "last": In(1),
                "word": In(8 * config.rows),
                "ends": In(1),
                "o": Out(word_write(config.kernel_width * config.rows)),
                "final": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        m.submodules.program = program = Memory(
            shape=unsigned(_STEP_WIDTH), depth=MAX_KERNEL_STEPS, init=[]
        )
        m.submodules.taps = taps = Memory(
            shape=unsigned(8 * config.rows), depth=self.KERNELS * MAX_KERNEL_TAPS, init=[]
        )
        step_write, step_read = program.write_port(), program.read_port()
        tap_write, tap_read = taps.write_port(), taps.read_port()

        flags = self._take(m, step_read, tap_write)
        code = Signal(
            data.StructLayout({field.name: field.width for field in KernelStep.FIELDS}),
            reset_less=True,
        )
        m.d.sync += code.eq(step_read.data)
        begins = Signal()  # the first step of a kernel goes on from nothing, whatever it says
        self._sums(m, code, begins, tap_read.data)
        self._write(m, code, begins, flags, tap_read)
        m.d.comb += [
            step_write.en.eq(self.step_write.valid),
            step_write.addr.eq(self.step_write.addr[: len(step_read.addr)]),
            step_write.data.eq(self.step_write.data),
            step_read.en.eq(1),
            tap_read.en.eq(1),
        ]
        return m

    def _take(self, m, step_read, tap_write):
        """Take kernels as they come, and go through the steps of those that are complete.

        Returns which kernel a step belongs to, and which of its steps it is.
        """
        full = Signal(range(self.KERNELS + 1))
        valid, last = Signal(), Signal()
        writing, reading = Signal(), Signal()  # which of the two
        tap = Signal(range(MAX_KERNEL_TAPS))
        step, last_step = Signal(range(MAX_KERNEL_STEPS)), Signal(range(MAX_KERNEL_STEPS))
        run, over, final = Signal(), Signal(), Signal()
        m.d.comb += [
            step_read.addr.eq(step),
            tap_write.en.eq(valid),
            tap_write.addr.eq(Cat(tap, writing)),
            tap_write.data.eq(self.word),
            self.room.eq(full != self.KERNELS),
            run.eq(full != 0),
            over.eq(run & (step == last_step)),
            final.eq(over & self.ends & (full == 1)),
        ]
        m.d.sync += [
            last_step.eq(self.steps - 1),
            full.eq(full + (self.take & self.last) - over),
            valid.eq(self.take),
            last.eq(self.last),
        ]
        with m.If(valid):
            m.d.sync += [tap.eq(Mux(last, 0, tap + 1)), writing.eq(writing ^ last)]
        with m.If(run):
            m.d.sync += [step.eq(Mux(over, 0, step + 1)), reading.eq(reading ^ over)]
        names = ("run", "over", "final", "which", "begins")
        flags = Signal(data.StructLayout(dict.fromkeys(names, 1)))
        m.d.comb += [
            flags.run.eq(run),
            flags.over.eq(over),
            flags.final.eq(final),
            flags.which.eq(reading),
            flags.begins.eq(step == 0),
        ]
        return flags

    def _sums(self, m, code, begins, word):
        """Add or subtract a word of taps in every row, as a step says, and show the sums.

        Step, tap, what is added, sum: a register each, and one behind the memory of steps.
        """
        config = self._config
        share = min(config.rows, self.FAN_OUT)
        copies = config.rows // share
        m.submodules.operand = operand = Fanout(width=2, copies=copies, dsp=config.dsp)
        before = Signal(3, reset_less=True)
        m.submodules.before = sums = Fanout(width=3, copies=copies, dsp=config.dsp)
        m.d.comb += [
            operand.i.eq(Cat(code.shift, code.negative)),
            sums.i.eq(before),
        ]
        m.d.sync += before.eq(Cat(code.first | begins, code.double, code.negative))

        width = config.kernel_width
        for k in range(config.rows):
            shift, negative = operand.o[k // share]
            first, double, carry = sums.o[k // share]
            # A negative tap is its complement and a carry.
            byte = word.word_select(k, 8) ^ negative.replicate(8)
            addend = Signal(signed(9), name=f"addend_{k}", reset_less=True)
            m.d.sync += addend.eq(Mux(shift, Cat(negative, byte), byte.as_signed()).as_signed())
            total = Signal(width, name=f"sum_{k}", reset_less=True)
            kept = Mux(double, total << 1, total)[:width] & ~first.replicate(width)
            added = Signal(signed(width), name=f"added_{k}")
            m.d.comb += added.eq(addend)
            m.d.sync += total.eq(add_with_carry(kept, added, carry))
            m.d.comb += self.o.data.word_select(k, width).eq(total)

    def _write(self, m, code, begins, flags, tap_read):
        """Follow a step until its result is there, and say where it goes."""
        config = self._config
        writes = Signal()
        for stage in range(1, self.LATENCY + 1):
            later = Signal.like(flags, name=f"flags_{stage}")
            m.d.sync += later.eq(flags)
            flags = later
            if stage == 2:
                m.d.comb += tap_read.addr.eq(Cat(code.tap, flags.which))
                m.d.comb += begins.eq(flags.begins)
                written = Signal(self.LATENCY - stage)
                m.d.sync += written.eq(Cat(code.write, written))
                m.d.comb += writes.eq(written[-1])
        place, channel = Signal(weight_addr_width(config)), Signal(weight_addr_width(config))
        m.d.comb += [
            self.o.valid.eq(flags.run & writes),
            self.o.addr.eq(place),
            self.final.eq(flags.final),
        ]
        next_channel = Signal.like(channel)
        m.d.comb += next_channel.eq(channel + 1)
        with m.If(self.start):
            m.d.sync += [place.eq(self.base), channel.eq(self.base)]
        with m.Elif(flags.over):
            m.d.sync += [place.eq(next_channel), channel.eq(next_channel)]
        with m.Elif(self.o.valid):
            m.d.sync += place.eq(place + self.term_step)
