"""An SDR SDRAM at its pins, cycle by cycle: data, and every rule of its data sheet.

Source: JEDEC JESD21-C, 3.11.5; the times are the chip's own in nanoseconds.
"""

from tilewright.hdl.memory.pins import Command

GARBAGE = 0x5A


class Violation(AssertionError):
    """What the controller did that the chip does not allow."""


class SDRAMModel:
    """One chip; :meth:`step` takes the pins of a cycle and returns what it drives in the next.

    A rule that is broken raises :class:`Violation`. Bytes that were never written read as garbage.
    """

    def __init__(self, chip, clock_mhz, *, power_up_us=None, late_refreshes=8):
        self.chip = chip
        self.period_ns = 1000 / clock_mhz
        self.power_up_ns = 1e3 * (chip.power_up_us if power_up_us is None else power_up_us)
        self.late_refreshes = late_refreshes
        self.data = {}  # of bytes, by address
        self.cycle = 0
        self.mode = None  # burst length, CAS latency
        self.open = [None] * 4
        self.activated = [-(10**9)] * 4  # cycles
        self.precharged = [-(10**9)] * 4
        self.recovered = [-(10**9)] * 4  # last write's last word
        self.refreshed = []
        self.busy_until = 0  # of MODE and REFRESH
        self.burst = None  # write, bank, column, words left
        self.drive = {}  # cycle -> word
        self.commands = []  # cycle, command, bank, address: of all but NOP
        self.initial_refreshes = 0

    def _apart(self, since, at_least_ns, what):
        if (self.cycle - since) * self.period_ns < at_least_ns - 1e-6:
            raise Violation(f"cycle {self.cycle}: {what}: {self.cycle - since} cycles apart")

    def _check(self, ok, what):
        if not ok:
            raise Violation(f"cycle {self.cycle}: {what}")

    def address(self, bank, column):
        word = ((self.open[bank] << 2) | bank) << self.chip.column_width | column
        return word * (self.chip.data_width // 8)

    def step(self, *, command, bank, a, dqm, dq, dq_oe):
        """Take a cycle's pins; return the word driven in this cycle, or None."""
        command = Command(command)
        driven = self.drive.pop(self.cycle, None)
        self._check(driven is None or not dq_oe, "chip and controller both drive")
        if command is not Command.NOP:
            self.commands.append((self.cycle, command, bank, a))
            self._check(self.cycle >= self.busy_until, "too early after MODE or REFRESH")
            self._check(
                self.cycle * self.period_ns >= self.power_up_ns - self.period_ns,
                "a command before the chip is up",
            )
            getattr(self, f"_{command.name.lower()}")(bank, a)
        if self.mode is not None and len(self.refreshed):
            due = (self.cycle - self.refreshed[0]) / self._refresh_cycles()
            self._check(
                due - (len(self.refreshed) - 1) <= self.late_refreshes, "refreshes come too late"
            )
        if self.burst is not None:
            self._word(dqm, dq, dq_oe)
        elif dq_oe:
            raise Violation(f"cycle {self.cycle}: data without a write")
        self.cycle += 1
        return driven

    def _refresh_cycles(self):
        return self.chip.refresh_ms * 1e6 / self.chip.refreshes / self.period_ns

    def _word(self, dqm, dq, dq_oe):
        write, bank, column, left = self.burst
        step = self.chip.data_width // 8
        address = self.address(bank, column)
        if write:
            self._check(dq_oe, "a write without data")
            for i in range(step):
                if not dqm >> i & 1:
                    self.data[address + i] = dq >> 8 * i & 0xFF
            self.recovered[bank] = self.cycle
        else:
            self._check(not dqm, "a read with its bytes masked")
            word = [self.data.get(address + i, GARBAGE) for i in range(step)]
            self.drive[self.cycle + self.mode[1]] = int.from_bytes(bytes(word), "little")
        length = self.mode[0]
        column = column & ~(length - 1) | (column + 1) & (length - 1)
        self.burst = (write, bank, column, left - 1) if left > 1 else None

    def _mode(self, bank, a):
        self._check(self.open == [None] * 4, "MODE with an open row")
        self._check(self.initial_refreshes >= 2, "MODE before two refreshes")
        for b in range(4):
            self._apart(self.precharged[b], self.chip.rp_ns, "PRECHARGE to MODE")
        self._check(a >> 3 & 1 == 0, "interleaved bursts")
        self._check(a & 7 <= 3, "burst length")
        self._check(a >> 4 & 7 in (2, 3), "CAS latency")
        self._check(a >> 7 == 0, "reserved bits of the mode")
        self._check((a >> 4 & 7) == self.chip.cas_latency, "CAS latency for this clock")
        self.mode = (1 << (a & 7), a >> 4 & 7)
        self.busy_until = self.cycle + self.chip.MRD_CYCLES

    def _refresh(self, bank, a):
        self._check(self.open == [None] * 4, "REFRESH with an open row")
        for b in range(4):
            self._apart(self.precharged[b], self.chip.rp_ns, "PRECHARGE to REFRESH")
        self.initial_refreshes += 1
        self.refreshed.append(self.cycle)
        while (self.busy_until - self.cycle) * self.period_ns < self.chip.rfc_ns - 1e-6:
            self.busy_until = max(self.busy_until, self.cycle) + 1

    def _precharge(self, bank, a):
        for b in range(4) if a >> 10 & 1 else (bank,):
            if self.open[b] is not None:
                self._apart(self.activated[b], self.chip.ras_ns, "ACTIVE to PRECHARGE")
                self._apart(self.recovered[b], self.chip.wr_ns, "write to PRECHARGE")
                self._check(self.burst is None or self.burst[1] != b, "PRECHARGE within a burst")
                open_ns = (self.cycle - self.activated[b]) * self.period_ns
                self._check(open_ns <= self.chip.ras_max_ns, "a row was open for too long")
            self.open[b] = None
            self.precharged[b] = self.cycle

    def _active(self, bank, a):
        self._check(self.mode is not None, "ACTIVE before MODE")
        self._check(self.open[bank] is None, "ACTIVE of an open bank")
        self._check(a >> self.chip.row_width == 0, "a row that is not there")
        self._apart(self.precharged[bank], self.chip.rp_ns, "PRECHARGE to ACTIVE")
        self._apart(self.activated[bank], self.chip.rc_ns, "ACTIVE to ACTIVE of a bank")
        for b in range(4):
            self._apart(self.activated[b], self.chip.rrd_ns, "ACTIVE to ACTIVE")
        self.open[bank] = a
        self.activated[bank] = self.cycle

    def _column(self, bank, a, write):
        self._check(self.open[bank] is not None, "a column of a closed bank")
        self._apart(self.activated[bank], self.chip.rcd_ns, "ACTIVE to READ or WRITE")
        self._check(a >> self.chip.column_width == 0, "a column that is not there")
        self._check(self.burst is None, "a burst that is cut short")
        if write:
            self._check(
                not any(c >= self.cycle - 1 for c in self.drive), "WRITE while the chip drives"
            )
        self.burst = (write, bank, a, self.mode[0])

    def _read(self, bank, a):
        self._column(bank, a, write=False)

    def _write(self, bank, a):
        self._column(bank, a, write=True)
