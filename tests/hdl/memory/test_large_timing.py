"""The timing of an FPGA's own large memories, cycle for cycle."""

import random
from dataclasses import dataclass
from itertools import accumulate

import pytest

from tests.hdl.examples import run
from tests.hdl.examples.test_memory import WithLargeMemory
from tilewright.hdl.memory import large
from tilewright.sim.timing.memory import Room
from tilewright.sim.timing.memory.large import LargeMemoryRun

BURSTS = 40  # in each direction


@dataclass(frozen=True)
class Request:
    """A burst: when its address is shown, after the one before was taken; beats, after others."""

    after: int
    gaps: list[int]

    @classmethod
    def some(cls, rng, longest):
        beats = rng.choice((1, rng.randint(1, longest)))
        busy, slow = rng.random() < 0.7, rng.random() < 0.5
        gaps = [rng.randint(1, 6) if slow else 1 for _ in range(beats)]
        return cls(rng.randint(1, 3) if busy else rng.randint(1, 60), gaps)


class Bench:
    """What shows addresses, takes and gives beats, each in its cycle, and notes the handshakes."""

    def __init__(self, dut, reads, writes):
        self.axi = dut.axi
        self.requests = {"ar": reads, "aw": writes}
        self.gaps = {
            "r": [g for q in reads for g in q.gaps],
            "w": [g for q in writes for g in q.gaps],
        }
        self.ends = set(accumulate(len(request.gaps) for request in writes))
        self.cycles = {channel: [] for channel in ("ar", "r", "aw", "w", "b")}

    def due(self, channel, now):
        """Return whether the channel's next item is shown, or can be taken."""
        done = self.cycles[channel]
        if channel == "b":
            return True
        if channel in self.requests:
            some = self.requests[channel][len(done) :]
            return bool(some) and now >= (done or [0])[-1] + some[0].after
        some = self.gaps[channel][len(done) :]
        if not some or now < (done or [0])[-1] + some[0]:
            return False
        return channel == "r" or (self.room > len(done) and self.cycles["aw"][-1] < now)

    @property
    def room(self):
        """Beats of the writes whose addresses have been taken."""
        return sum(len(q.gaps) for q in self.requests["aw"][: len(self.cycles["aw"])])

    @property
    def over(self):
        beats = len(self.gaps["r"]), len(self.requests["aw"])
        return (len(self.cycles["r"]), len(self.cycles["b"])) == beats

    async def run(self, ctx):
        axi, now = self.axi, 0
        while not self.over:
            for prefix, requests in self.requests.items():
                if some := requests[len(self.cycles[prefix]) :]:
                    ctx.set(getattr(axi, f"{prefix}len"), len(some[0].gaps) - 1)
            ctx.set(axi.wlast, len(self.cycles["w"]) + 1 in self.ends)
            for channel in self.cycles:
                ours = "ready" if channel in "rb" else "valid"
                ctx.set(getattr(axi, channel + ours), self.due(channel, now))
            for channel, cycles in self.cycles.items():
                if all(ctx.get(getattr(axi, channel + end)) for end in ("valid", "ready")):
                    cycles.append(now)
            await ctx.tick()
            now += 1


def simulated(reads, writes, monkeypatch):
    """Return the cycles of the handshakes of each channel."""
    monkeypatch.setattr(large, "get_family", lambda dsp: WithLargeMemory())
    dut = large.LargeMemory(dsp="made up")
    bench = Bench(dut, reads, writes)
    run(dut, bench.run)
    return bench.cycles


def predicted(reads, writes):
    """Return the same by the model."""
    cycles = {channel: [] for channel in ("ar", "r", "aw", "w", "b")}
    model = LargeMemoryRun()
    queues = {"ar": iter(reads), "aw": iter(writes)}
    under_way = {}

    def show(prefix, free):
        if (request := next(queues[prefix], None)) is not None:
            under_way[prefix] = request
            call = model.read if prefix == "ar" else model.write
            call(free + request.after, 0, len(request.gaps))

    show("ar", 0)
    show("aw", 0)
    while (answer := model.step()) is not None:
        if isinstance(answer, Room):
            cycles["aw"].append(answer.accepted)
            for free, gap in zip(answer.beats, under_way["aw"].gaps, strict=True):
                cycles["w"].append(max(free, (cycles["w"] or [0])[-1] + gap))
            model.given(cycles["w"][-len(answer.beats) :])
        elif answer.write:
            cycles["b"] += answer.beats
            show("aw", answer.accepted)
        else:
            cycles["ar"].append(answer.accepted)
            apart = 0
            for free, gap in zip(answer.beats, under_way["ar"].gaps, strict=True):
                before = (cycles["r"] or [0])[-1]
                cycles["r"].append(max(free, before + max(gap, apart)))
                apart = answer.apart
            model.taken(cycles["r"][-len(answer.beats) :])
            show("ar", answer.accepted)
    return cycles


@pytest.mark.parametrize("seed", range(6))
def test_matches_the_memory(seed, monkeypatch):
    rng = random.Random(seed)
    longest = rng.choice((1, 4, 16))
    reads, writes = ([Request.some(rng, longest) for _ in range(BURSTS)] for _ in range(2))
    assert simulated(reads, writes, monkeypatch) == predicted(reads, writes)
