"""The compute unit between memories of numbers, against multiplications in plain Python."""

import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import WORD, random_compute, random_product, results
from tests.hdl.configs import CONFIG, SHARING
from tests.hdl.streams import Part, reset, send
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.words import WordBuffer
from tilewright.isa import Unit, encode
from tilewright.isa.passes import PassShape, weight_words
from tilewright.isa.registers import Status
from tilewright.isa.words import can_share, own_words, share_words

ROWS, COLS = CONFIG.rows, CONFIG.cols
COMMANDS = 8


def bits(command, config=CONFIG):
    return int.from_bytes(encode(command, config.command_bytes(Unit.COMPUTE)), "little")


class Buffers:
    """What lies in the activation and weight buffers: random, but for what the commands need."""

    def __init__(self, part, seed):
        self.part, self.seed = part, seed
        self.chosen = {}

    def activation(self, lane, address):
        return list(random.Random(f"{self.seed} {lane} {address}").randbytes(ROWS))

    def weight(self, address):
        word = self.chosen.get(address)
        word = random.Random(f"{self.seed} {address}").randbytes(ROWS) if word is None else word
        return [byte - 256 if byte > 127 else byte for byte in word]

    def add_parameters(self, rng, c):
        """Put parameters where a command reads them; return them by kernel group and row."""
        steps = weight_words(CONFIG, c)
        groups = []
        for kg in range(c.n_kg):
            base = c.weight_base + kg * (CONFIG.param_words + steps)
            group = [
                (rng.randint(-5000, 5000), rng.getrandbits(18), rng.randint(20, 28))
                for _ in range(ROWS)
            ]
            if rng.random() < 0.3:  # ties
                group = [(bias, 1, rng.randint(3, 12)) for bias, _, _ in group]
            words = [
                (bias & 0xFFFFFFFF | multiplier << 32 | shift << 50).to_bytes(
                    CONFIG.param_words, "little"
                )
                for bias, multiplier, shift in group
            ]
            for i in range(CONFIG.param_words):
                self.chosen[(base + i) % WORD] = bytes(word[i] for word in words)
            if c.maximum:  # weights are 0 or 1
                for i in range(steps):
                    self.chosen[(base + CONFIG.param_words + i) % WORD] = bytes([1] * ROWS)
            groups.append(group)
        return groups

    async def serve(self):
        """Answer both read ports."""
        part = self.part
        act = [[0] * COLS for _ in range(ActivationBuffer.latency(CONFIG))]
        weights = [0] * WordBuffer.latency(CONFIG.pipelined, far=CONFIG.pipelined)
        while True:
            await ReadOnly()
            addresses = int(part.act_addr.value)
            act.append([addresses >> 16 * lane & 0xFFFF for lane in range(COLS)])
            weights.append(int(part.weight_addr.value))
            await RisingEdge(part.clk)
            act.pop(0)
            weights.pop(0)
            lanes = [bytes(self.activation(lane, at)) for lane, at in enumerate(act[0])]
            part.act_data.value = int.from_bytes(b"".join(lanes), "little")
            word = bytes(byte & 0xFF for byte in self.weight(weights[0]))
            part.weight_data.value = int.from_bytes(word, "little")


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(4), name=("compute", "sharing"))
async def results_are_those_of_plain_arithmetic(dut, seed, name):
    """Commands at random pace, with waits and fences, while the other units count on."""
    part, rng = Part(dut, name), random.Random(seed)
    config = {"compute": CONFIG, "sharing": SHARING}[name]
    buffers = Buffers(part, seed)
    commands, out, act, ends = [], [], [], []
    origin = {"load": rng.choice((0, 65530)), "store": rng.choice((0, 65533))}
    sums, before = [], None
    for index in range(COMMANDS):
        make = random_product if rng.random() < 0.3 else random_compute
        command = make(
            rng,
            CONFIG,
            weight_base=(8192 * index - 40) % WORD,  # apart, and the first one wraps
            fence=int(rng.random() < 0.3),
            wait_load=(origin["load"] + rng.randrange(2 * index + 1)) % WORD,
            wait_store=(origin["store"] + rng.randrange(2 * index + 1)) % WORD,
        )
        if before is not None and not command.product and rng.random() < 0.5:
            command = replace(
                command,
                resume=1,
                maximum=before.maximum,
                signed=before.signed,
                **{"n_kg": 1, "n_oy": 1, "n_ox": 1, "out_w": min(command.out_w, COLS)},
            )
        shareable = not (command.resume or command.product)
        if shareable and can_share(config, command.stride_x, command.out_w):
            command = share_words(config, command)
        before = command if not command.accesses else None  # which leaves more than its results
        groups = buffers.add_parameters(rng, command)
        more_out, more_act = results(
            own_words(CONFIG, command),
            CONFIG,
            buffers.activation,
            buffers.weight,
            groups,
            sums=sums,
        )
        commands.append(command)
        out += more_out
        act += more_act
        ends.append((len(out), len(act)))
    part.clear("halt", "i_valid", "act_data", "weight_data")
    part.done_load.value, part.done_store.value = origin["load"], origin["store"]
    await reset(dut)
    cocotb.start_soon(buffers.serve())
    gaps = rng.choice((0.0, 0.5, 0.98))
    cocotb.start_soon(send(part, "i", (bits(c, config) for c in commands), rng, gaps))
    started, done, seen_out, seen_act, steps = 0, 0, [], [], 0
    counts = dict(origin)
    while done < COMMANDS:
        for unit in counts:
            if rng.random() < 0.01:
                counts[unit] = (counts[unit] + 1) % WORD
        part.done_load.value, part.done_store.value = counts["load"], counts["store"]
        await ReadOnly()
        assert not part.error.value
        steps += int(part.step.value)
        if part.start.value:
            c = commands[started]
            assert (counts["load"] - c.wait_load) % WORD < WORD // 2
            assert (counts["store"] - c.wait_store) % WORD < WORD // 2
            assert not c.fence or done == started, f"command {started} did not wait for results"
            started += 1
        if part.o_out_valid.value:
            seen_out.append((int(part.o_out_addr.value), int(part.o_out_data.value)))
        if part.o_act_valid.value:
            place = int(part.o_act_lane.value), int(part.o_act_addr.value)
            seen_act.append((*place, int(part.o_act_data.value)))
        if part.done.value:
            assert (len(seen_out), len(seen_act)) == ends[done], f"command {done} is not complete"
            done += 1
        await RisingEdge(dut.clk)
    assert seen_out == out
    assert seen_act == act
    assert steps == sum(c.n_kg * c.passes * PassShape.of(CONFIG, c).steps for c in commands)
    await ReadOnly()
    assert not part.busy.value


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(2))
async def what_is_no_command_never_starts(dut, seed):
    part, rng = Part(dut, "compute"), random.Random(seed)
    part.clear("halt", "i_valid", "done_load", "done_store")
    await reset(dut)
    good = bits(random_compute(rng, CONFIG))
    bad = {
        "opcode": good & ~0xFF | rng.choice((0, 2, 255)),
        "the last bit": good | 1 << 511,
        "segment of 8 of 4 rows": bits(random_compute(rng, CONFIG, segment_log2=3)),
    }
    for name, word in bad.items():
        part.i_payload.value, part.i_valid.value = good, 1
        started = done = reported = False
        while not reported:
            await ReadOnly()
            if part.start.value:
                assert not started, name
                started = True
            if part.error.value:
                # The number of commands that are done is its own.
                assert done, name
                assert part.status.value == Status.BAD_COMMAND
                reported = True
            done |= bool(part.done.value)
            await RisingEdge(dut.clk)
            if started:
                part.i_payload.value = word
        part.i_valid.value, dut.rst.value = 0, 1  # as the engine does
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
    # Nor does a good one, while the engine is halted.
    part.i_payload.value, part.i_valid.value, part.halt.value = good, 1, 1
    for _ in range(20):
        await ReadOnly()
        assert not part.start.value
        await RisingEdge(dut.clk)
