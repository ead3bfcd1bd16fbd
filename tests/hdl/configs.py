"""Commands of the load and store benches, and what they must do, in plain Python."""

import os

from tilewright.compiler.isa import EngineConfig, Fetch, LoadActivations, LoadWeights, Store, Unit

MEMORY_BYTES = 1 << 16
CONFIGS = {
    "wide-words": EngineConfig(rows=16, cols=3, bus_width=32, burst_beats=8, outstanding=2),
    "narrow-words": EngineConfig(rows=2, cols=2, bus_width=64, burst_beats=4, outstanding=3),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "wide-words")]
OUT_WORDS = CONFIG.out_depth


def row_bytes(width):
    beats = -(-width * CONFIG.rows // CONFIG.bus_bytes)
    return beats * CONFIG.bus_bytes


def words_of(data):
    size = CONFIG.rows
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def random_block(rng):
    width, height, groups = rng.randint(1, 9), rng.randint(1, 5), rng.randint(1, 3)
    size = height * row_bytes(width)
    stride = size + CONFIG.bus_bytes * rng.randint(0, 40)
    address = CONFIG.bus_bytes * rng.randint(0, 300)
    return {
        "width": width, "height": height, "groups": groups, "group_stride": stride,
        "address": address,
    }  # fmt: skip


def load_cases(rng):
    """Return random load commands, and a function that says what each port must show."""
    commands = []
    for _ in range(6):
        kind = rng.choice((LoadActivations, LoadActivations, LoadWeights, Fetch))
        address = CONFIG.bus_bytes * rng.randint(0, 300)
        if kind is LoadActivations:
            steps = {"base": rng.randint(0, 50), "row_step": 7, "group_step": 60}
            commands.append(kind(**random_block(rng), **steps))
        elif kind is LoadWeights:
            commands.append(
                kind(address=address, words=rng.randint(1, 70), base=rng.randint(0, 99))
            )
        else:
            commands.append(kind(address=address, unit=int(Unit.COMPUTE), count=rng.randint(1, 4)))

    def expected(port, memory):
        log = []
        for c in commands:
            if isinstance(c, LoadActivations) and port == "act_write":
                for group in range(c.groups):
                    for row in range(c.height):
                        at = c.address + group * c.group_stride + row * row_bytes(c.width)
                        data = words_of(memory[at : at + c.width * CONFIG.rows])
                        first = c.base + group * c.group_step + row * c.row_step
                        log += [
                            (x % CONFIG.cols, first + x // CONFIG.cols, word)
                            for x, word in enumerate(data)
                        ]
            elif isinstance(c, LoadWeights) and port == "weight_write":
                data = words_of(memory[c.address : c.address + c.words * CONFIG.rows])
                log += [(c.base + i, word) for i, word in enumerate(data)]
            elif isinstance(c, Fetch) and port == "fetch_1":
                size = CONFIG.bus_bytes
                for at in range(c.address, c.address + c.count * Unit.COMPUTE.command_bytes, size):
                    log.append((int.from_bytes(memory[at : at + size], "little"),))
        return log

    return commands, expected


def store_cases(rng):
    """Return random store commands, what memory must hold after them, and the word's bits."""
    blocks = [random_block(rng) for _ in range(3)]
    commands = [Store(**block, base=rng.randint(0, OUT_WORDS - 1)) for block in blocks]

    def expected(words):
        memory = bytearray(MEMORY_BYTES)
        for c in commands:
            index = c.base
            for group in range(c.groups):
                for row in range(c.height):
                    at = c.address + group * c.group_stride + row * row_bytes(c.width)
                    data = b""
                    for _ in range(c.width):
                        data += words[index % OUT_WORDS].to_bytes(CONFIG.rows, "little")
                        index += 1
                    memory[at : at + row_bytes(c.width)] = data.ljust(row_bytes(c.width), b"\0")
        return bytes(memory)

    return commands, expected, 8 * CONFIG.rows
