"""A memory of fixed latency behind an AXI port, for the Amaranth simulator.

The contract of :mod:`tilewright.sim.timing.memory`, written down a second time: as a process that
goes cycle by cycle.
"""

from amaranth.sim import Simulator


class FixedMemory:
    """The memory; :meth:`step` takes what the bus showed in a cycle, and drives the next one.

    ``axi`` needs only the half of AXI4 that is used. ``errors`` holds byte addresses of beats and
    bursts that answer SLVERR. ``busy`` says whether something is in flight.
    """

    def __init__(self, axi, data, *, read_latency, write_latency, beat_bytes):
        self.axi = axi
        self.data = data
        self.read_latency = read_latency
        self.write_latency = write_latency
        self.beat_bytes = beat_bytes
        self.errors = set()
        self.cycle = 0
        self.reads, self.writes, self.responses = [], [], []  # bursts in flight
        self.bursts = []  # every burst so far: "r" or "w", address, beats
        names = axi.signature.members
        self.reads_here, self.writes_here = "arvalid" in names, "awvalid" in names
        self.inputs = [n for n in names if names[n].flow.name == "Out"]

    def signals(self):
        """Return what :meth:`step` wants to be sampled."""
        return [getattr(self.axi, name) for name in (*self.inputs, *self._answers())]

    def _answers(self):
        return [n for n in ("rvalid", "rlast", "bvalid") if hasattr(self.axi, n)]

    def start(self, ctx):
        """Drive the first cycle."""
        for name in ("arready", "awready", "wready"):
            if hasattr(self.axi, name):
                ctx.set(getattr(self.axi, name), 1)

    @property
    def busy(self):
        return bool(self.reads or self.writes or self.responses)

    def _burst(self, kind, address, length, size, burst):
        beats = length + 1
        assert 1 << size == self.beat_bytes
        assert burst == 1
        assert address % self.beat_bytes == 0
        assert address // 4096 == (address + beats * self.beat_bytes - 1) // 4096
        self.bursts.append((kind, address, beats))
        return [address, beats, self.cycle]

    def step(self, ctx, values):
        """Take one cycle's values (of :meth:`signals`), drive the next cycle's."""
        v = dict(zip((*self.inputs, *self._answers()), values, strict=True))
        if self.reads_here:
            self._read(ctx, v)
        if self.writes_here:
            self._write(ctx, v)
        self.cycle += 1

    def _read(self, ctx, v):
        if v["rvalid"] and v["rready"]:
            burst = self.reads[0]
            burst[0] += self.beat_bytes
            burst[1] -= 1
            assert v["rlast"] == (burst[1] == 0)
            if not burst[1]:
                self.reads.pop(0)
        if v["arvalid"]:
            self.reads.append(self._burst("r", v["araddr"], v["arlen"], v["arsize"], v["arburst"]))
        valid = bool(self.reads) and self.cycle + 1 >= self.reads[0][2] + self.read_latency
        ctx.set(self.axi.rvalid, valid)
        if valid:
            address, left, _ = self.reads[0]
            beat = self.data[address : address + self.beat_bytes]
            ctx.set(self.axi.rdata, int.from_bytes(beat, "little"))
            ctx.set(self.axi.rlast, left == 1)
            ctx.set(self.axi.rresp, 2 if address in self.errors else 0)

    def _write(self, ctx, v):
        if v["bvalid"] and v["bready"]:
            self.responses.pop(0)
        if v["wvalid"]:
            assert self.writes, "a beat before its address"
            address, left, _ = burst = self.writes[0]
            assert v["wstrb"] == (1 << self.beat_bytes) - 1
            assert v["wlast"] == (left == 1)
            self.data[address : address + self.beat_bytes] = v["wdata"].to_bytes(
                self.beat_bytes, "little"
            )
            burst[0] += self.beat_bytes
            burst[1] -= 1
            if left == 1:
                failed = address in self.errors
                self.responses.append((self.cycle + self.write_latency, failed))
                self.writes.pop(0)
        if v["awvalid"]:
            self.writes.append(self._burst("w", v["awaddr"], v["awlen"], v["awsize"], v["awburst"]))
        valid = bool(self.responses) and self.cycle + 1 >= self.responses[0][0]
        ctx.set(self.axi.bvalid, valid)
        if valid:
            ctx.set(self.axi.bresp, 2 if self.responses[0][1] else 0)


def run(component, testbench):
    """Simulate a component with one testbench."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
