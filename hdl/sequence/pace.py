"""When a compute command's segments run."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.drain.partial import TILES, tile_code
from tilewright.hdl.sequence.rows import ends_image, next_row, next_y
from tilewright.hdl.sequence.taps import segment_layout
from tilewright.isa import Compute
from tilewright.isa.passes import pass_span, result_cycles, window_parts
from tilewright.isa.tiles import MAX_TAPS
from tilewright.isa.widths import ROW_WIDTH, act_addr_width, column_width, step_count_width

__all__ = ["PaceSequencer", "access_layout", "burst_layout"]


def access_layout(config):
    """Return one read of the activation buffer: a window of ``cols`` pixels, or a part of it."""
    position = {"y": signed(ROW_WIDTH)} if config.offset_depth else {}  # input row
    # Where rows share words: the pixels that are in this one.
    shared = {"mask": config.cols} if config.shared_words else {}
    return data.StructLayout(
        position
        | shared
        | {
            "group": act_addr_width(config),  # lane word of the channel group's ring
            # lane words from there to the kernel row's input column 0
            "row": act_addr_width(config),
            "row_valid": 1,  # the kernel row lies inside the input
            "x": signed(column_width(config)),  # input column of output pixel 0
            "word": act_addr_width(config),  # floor(x / cols)
            "lane": range(config.cols),  # x mod cols
            "part": range(config.cols),  # which part of the window, where one access is too few
            "tap": range(MAX_TAPS),  # which tap of the window, where it is a sum of several
        }
    )


def burst_layout(config):
    """Return a run of weight words that the step sequencer reads, one per cycle."""
    product = {"product": 1} if config.multiplies_maps else {}  # weights are pixels
    wide = {"low": 1} if config.wide_maps else {}  # weights are for low bytes of 16 bits
    return data.StructLayout(
        product
        | wide
        | {
            "parameters": 1,  # requantization parameters instead of weights
            "count": step_count_width(config),
            "first_of_command": 1,
            "first_of_kg": 1,  # first pass of its kernel group
            "first": 1,  # first segment of its pass
            "last": 1,  # last segment of its pass
            "last_of_command": 1,
        }
    )


class _Lengths:
    """Registers: cycles of a whole and of a last segment, less one, and of the pause before."""

    def __init__(self, count_width):
        self.full = Signal(count_width)
        self.short = Signal(count_width)
        self.full_is_one = Signal()
        self.short_is_one = Signal()
        self.pause = Signal(8)
        self.ready_after = Signal(8)
        self.product = Const(0)  # the command multiplies maps


class _Narrow:
    """Registers: the last part and the cycles of segments of a narrow word, less one."""

    def __init__(self, full, last_part):
        self.valid = Signal()
        self.full = Signal.like(full, name="narrow_full")
        self.short = Signal.like(full, name="narrow_short")
        self.part = Signal.like(last_part, name="narrow_part")


class PaceSequencer(wiring.Component):
    """Issue the accesses and the weight burst of each segment, at a fixed pace.

    A segment takes ``max(steps, parts)`` cycles: its window is read in ``parts`` accesses in the
    first of them, while the array still works on the window before. So it does where a window is a
    sum of several taps, each read in one access, and where each of its pixels is sampled at a
    position of its own, so that it has as many parts as pixels: ``cols``, or fewer in the last word
    of a row. Where rows share words, it has the parts of each row. Nothing behind this sequencer
    can stall, so all of a command's timing is decided here. What ends in the next cycle is decided
    in this one: every decision starts from a few registers.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout)
    deform : In(1); the windows are sampled; only in engines with a sampler
    last_parts : In(5); then, as in Deform
    i : In(stream of segment_layout)
    access : Out(access_layout), access_valid : Out(1)
    burst : Out(burst_layout), burst_valid : Out(1), in the cycle of the window's last access
    idle : Out(1)

    Timing
    ------
    From idle, the first kernel group begins in the cycle after ``i`` is valid. A kernel group
    takes ``parts + 1 + parameter_pause + param_words`` cycles and then its passes, each its
    segments' cycles or ``isa.passes.result_cycles``, whichever is more. ``parts`` and the segment
    lengths follow ``command`` by four cycles.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(command_layout(Compute, config)),
                "deform": In(1),
                "last_parts": In(5),
                "i": In(stream.Signature(segment_layout(config))),
                "access": Out(access_layout(config)),
                "access_valid": Out(1),
                "burst": Out(burst_layout(config)),
                "burst_valid": Out(1),
                "idle": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, segment, access = self._config, self.i.payload, self.access
        take = Signal()
        parts, last_part = self._parts(m)
        length = self._lengths(m, parts)
        count = self._count(m, length)
        shortest = self._shortest(m, length)
        narrow = self._narrow(m, length, last_part) if config.offset_depth else None

        # Of this segment: cycles after this one; none.
        left, over = Signal(step_count_width(config)), Signal(init=1)
        # Of this pass: cycles that it must still last after this one; none.
        spare, spent = Signal.like(shortest), Signal(init=1)
        whole = Signal()  # the access is the last of its window
        end_part = Signal.like(last_part) if config.offset_depth else last_part
        # Which part it is: one of a row, where several share words.
        part = Signal.like(last_part) if config.shared_words else access.part
        begin, ready, parameters = self._pause(m, length, over & spent & segment.new_kg)
        m.d.comb += [
            self.i.ready.eq(over & (~segment.first | (spent & (~segment.new_kg | ready)))),
            take.eq(self.i.valid & self.i.ready),
            self.burst_valid.eq(parameters | (self.access_valid & (part == end_part) & whole)),
        ]
        m.d.sync += self.idle.eq(over & spent & ~self.i.valid)

        with m.If(take):
            m.d.sync += [
                left.eq(Mux(segment.short, length.short, length.full)),
                over.eq(
                    Mux(segment.short, length.short_is_one, length.full_is_one) | ~segment.closes
                ),
                *([end_part.eq(last_part)] if config.offset_depth else []),
                whole.eq(segment.closes),
                *([part.eq(0)] if config.shared_words else []),
            ]
        with m.Else():
            m.d.sync += [
                left.eq(left - 1),
                over.eq(over | (left == 1)),
                *([part.eq(part + 1)] if config.shared_words else []),
            ]
        self._access(m, take, ends=part == end_part)
        if config.shared_words:
            self._share_words(m, take)
        if narrow is not None:
            with m.If(take & narrow.valid):
                cycles = Mux(segment.short, narrow.short, narrow.full)
                m.d.sync += [left.eq(cycles), over.eq(cycles == 0), end_part.eq(narrow.part)]

        with m.If(take & segment.first):
            m.d.sync += [spare.eq(shortest), spent.eq(0)]
        with m.Else():
            m.d.sync += [spare.eq(spare - 1), spent.eq(spent | (spare == 1))]
        self._burst(m, begin, take, count, length)
        return m

    def _parts(self, m):
        """Return in how many parts the command's windows are read, and the last one's number."""
        config, c = self._config, self.command
        parts, last_part = Signal(range(config.cols + 1)), Signal(range(config.cols))
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.sync += parts.eq(self._row_parts(stride))
        if config.shared_words:
            with m.If(c.accesses.any()):
                m.d.sync += parts.eq(c.accesses)
        if config.offset_depth:
            with m.If(self.deform):
                m.d.sync += parts.eq(config.cols)
        m.d.sync += last_part.eq(parts - 1)
        return parts, last_part

    def _row_parts(self, stride):
        """Return the parts in which windows of a stride are read, of one row."""
        config = self._config
        whole = window_parts(config, stride)
        if not config.split_columns:
            return whole
        return Mux(self.command.split, window_parts(config, stride, split=True), whole)

    def _lengths(self, m, parts):
        """Return the command's cycles of a segment and of a pause, less one each."""
        config, c = self._config, self.command
        count_width = step_count_width(config)
        length = _Lengths(count_width)
        whole_segment, last_segment = Signal(count_width), Signal(count_width)
        m.d.sync += [
            whole_segment.eq(Mux(c.segment > parts, c.segment, parts)),
            last_segment.eq(Mux(c.last_segment > parts, c.last_segment, parts)),
            length.full.eq(whole_segment - 1),
            length.short.eq(last_segment - 1),
            length.full_is_one.eq(length.full == 0),
            length.short_is_one.eq(length.short == 0),
            length.pause.eq(parts + config.parameter_pause),
            length.ready_after.eq(parts + config.parameter_pause + config.param_words - 1),
        ]
        return length

    def _count(self, m, length):
        """Return how many weight words the segment's burst has; a product's steps are others."""
        config, c, segment = self._config, self.command, self.i.payload
        count = Mux(segment.short, c.last_segment, c.segment)
        if config.multiplies_maps:
            length.product = product = Signal()
            m.d.sync += product.eq(c.segment == 0)
            count = Mux(product, Mux(segment.short, config.cols, 1), count)
            with m.If(product):  # a step for each column, and one for the factor or none
                m.d.sync += length.short.eq(config.cols - Mux(c.r_dy[0], 1, 2))
        return count

    def _shortest(self, m, length):
        """Return the cycles that a pass takes at least, less one."""
        config, c = self._config, self.command
        longest = max(
            [result_cycles(config, pair=False, wide=config.wide_maps)]
            + [pass_span(config, *tile) for tile in TILES if config.partial_depth]
        )
        shortest = Signal(range(longest), init=config.drain_cycles - 1)
        if config.result_words == 2:
            both, one = config.drain_cycles, config.single_drain_cycles
            m.d.sync += shortest.eq(Mux(c.pair, both, one) - 1)
        if config.partial_depth:
            with m.Switch(Cat(c.tile_h, c.tile_w, c.last, c.partial)):
                for tile in TILES:
                    with m.Case(tile_code(*tile)):
                        m.d.sync += shortest.eq(pass_span(config, *tile) - 1)
                with m.Default():
                    m.d.sync += shortest.eq(config.drain_cycles - 1)
            with m.If(c.transform):
                # The last tap of a window waits for the array; those before it do not.
                taps = c.taps
                m.d.sync += [
                    length.full.eq(Mux(c.segment > taps, c.segment - taps, 0)),
                    length.short.eq(Mux(c.last_segment > taps, c.last_segment - taps, 0)),
                ]
        if config.wide_maps:  # both bytes of its results leave
            wide = result_cycles(config, pair=False, wide=True)
            m.d.sync += shortest.eq(Mux(c.wide_out, wide, config.drain_cycles) - 1)
        return shortest

    def _narrow(self, m, length, last_part):
        """Return the last part and lengths of a sampled row's last word; whether this is one."""
        c, narrow = self.command, _Narrow(length.full, last_part)
        parts = Signal.like(self.last_parts)
        m.d.comb += narrow.valid.eq(self.deform & self.i.payload.narrow)
        m.d.sync += [
            parts.eq(self.last_parts),
            narrow.part.eq(parts - 1),
            narrow.full.eq(Mux(c.segment > parts, c.segment, parts) - 1),
            narrow.short.eq(Mux(c.last_segment > parts, c.last_segment, parts) - 1),
        ]
        return narrow

    def _pause(self, m, length, wanted):
        """Pause before a kernel group, where ``wanted``.

        It lets the last pass of the kernel group before be captured, and with it that group's
        parameters be taken over (or be done with), before the next ones replace them. Returns
        pulses: it begins; the group can begin; its parameters are to be read.
        """
        begin, pausing, ready = Signal(), Signal(), Signal()
        elapsed, parameters = Signal.like(length.ready_after), Signal()
        m.d.comb += begin.eq(self.i.valid & wanted & ~pausing)
        m.d.sync += [
            elapsed.eq(elapsed + 1),
            parameters.eq(pausing & (elapsed == length.pause)),
            ready.eq(pausing & (elapsed == length.ready_after)),
        ]
        with m.If(begin):
            m.d.sync += [pausing.eq(1), elapsed.eq(0)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += pausing.eq(0)
        return begin, ready, parameters

    def _access(self, m, take, *, ends):
        """Read the window of the segment that is taken, part by part until ``ends``."""
        c, segment, access = self.command, self.i.payload, self.access
        with m.If(take):
            m.d.sync += [
                access.tap.eq(segment.tap),
                access.group.eq(segment.group),
                access.row.eq(segment.row),
                access.row_valid.eq((segment.y >= 0) & (segment.y < c.in_h)),
                access.x.eq(segment.x),
                access.word.eq(segment.word),
                access.lane.eq(segment.lane),
                access.part.eq(0),
                self.access_valid.eq(1),
                *([access.y.eq(segment.y)] if self._config.offset_depth else []),
            ]
        with m.Else():
            m.d.sync += access.part.eq(access.part + 1)
            with m.If(ends):
                m.d.sync += self.access_valid.eq(0)

    def _burst(self, m, begin, take, count, length):
        """Describe the burst: parameters as a pause begins, weights as a segment does."""
        config, segment, burst = self._config, self.i.payload, self.burst
        with m.If(begin):
            m.d.sync += [
                burst.parameters.eq(1),
                burst.count.eq(config.param_words),
                burst.first_of_command.eq(segment.first_of_command),
            ]
        with m.Elif(take):
            m.d.sync += [
                burst.parameters.eq(0),
                burst.count.eq(count),
                burst.first_of_command.eq(segment.first_of_command),
                burst.first_of_kg.eq(segment.first_of_kg),
                burst.first.eq(segment.opens),
                burst.last.eq(segment.last),
                burst.last_of_command.eq(segment.last_of_command),
            ]
        if config.multiplies_maps:
            with m.If(begin | take):
                m.d.sync += burst.product.eq(~begin & length.product & segment.short)
        if config.wide_maps:
            with m.If(take):
                m.d.sync += burst.low.eq(segment.low)

    def _share_words(self, m, take):
        """Read one row after another of those that share a word, each with its own pixels."""
        config, c, segment, access = self._config, self.command, self.i.payload, self.access
        last = Signal(range(config.cols))  # part of a row
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.sync += last.eq(self._row_parts(stride) - 1)
        if config.offset_depth:
            with m.If(self.deform):
                m.d.sync += last.eq(config.cols - 1)
        width = Signal(5)  # of a row, or more than a word
        m.d.sync += width.eq(Mux(c.out_w >= config.cols, config.cols, c.out_w[:5]))
        # Pixels of this row and those before, and of the next row too.
        end, below, following_end = Signal(5), Signal(config.cols), Signal(5)
        m.d.comb += following_end.eq(Mux(end >= config.cols, end, end + width))
        y = Signal(signed(ROW_WIDTH))  # of the next row
        # Whether an image ends with the row that is read, the first one, and the next row.
        image_ends = first_ends = next_ends = None
        if config.stacked_images:
            image_ends, edge = Signal(), Signal.like(y)
            first_ends = ends_image(c, segment.y, segment.edge)
            next_ends = ends_image(c, y, edge)
            with m.If(take):
                m.d.sync += [edge.eq(segment.edge), image_ends.eq(first_ends)]
            with m.Elif(access.part == last):
                m.d.sync += image_ends.eq(next_ends)
        following = next_row(m, config, c, access, image_ends)
        with m.If(take):
            pixels = _below(config, segment.room)
            m.d.sync += [end.eq(segment.room), below.eq(pixels), access.mask.eq(pixels)]
            m.d.sync += y.eq(next_y(c, segment.y, first_ends))
        with m.Elif(access.part == last):
            pixels = _below(config, following_end)
            m.d.sync += [
                end.eq(following_end),
                below.eq(pixels),
                access.mask.eq(pixels & ~below),
                y.eq(next_y(c, y, next_ends)),
                access.part.eq(0),
                access.row.eq(following.row),
                access.row_valid.eq((y >= 0) & (y < c.in_h)),
                access.x.eq(following.x),
                access.word.eq(following.word),
                access.lane.eq(following.lane),
            ]


def _below(config, count):
    """Return a bit for each pixel of a word, whether it is among the first ``count``."""
    return Cat(count > j for j in range(config.cols))
