"""Commands of the load and store benches, and what they must do, in plain Python."""

from dataclasses import replace

from tilewright.isa import (
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadOffsets,
    LoadWeights,
    Store,
    Unit,
)

MEMORY_BYTES = 1 << 16
CONFIGS = {
    "wide_words": EngineConfig(
        rows=16, cols=3, bus_width=32, burst_beats=8, outstanding=2, offset_depth=1024
    ),
    "narrow_words": EngineConfig(rows=2, cols=2, bus_width=64, burst_beats=4, outstanding=3),
}
# Of all other components: even columns, so that windows of even strides come in parts; buffers as
# large as the commands' fields can address.
CONFIG = EngineConfig(
    rows=4, cols=4, requantizers=2, act_depth=65536, weight_depth=65536, out_depth=65536,
    bus_width=64, queue_depth=8, burst_beats=8, outstanding=2,
)  # fmt: skip

# Where rows share words.
SHARING = replace(CONFIG, shared_words=True)

# Of the sampler.
SAMPLING = replace(CONFIG, offset_depth=4096)


def row_bytes(config, width, pixel_bytes=None):
    beats = -(-width * (pixel_bytes or config.rows) // config.bus_bytes)
    return beats * config.bus_bytes


def words_of(config, data):
    size = config.rows
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def random_block(rng, config):
    width, height, groups = rng.randint(1, 9), rng.randint(1, 5), rng.randint(1, 3)
    size = height * row_bytes(config, width)
    stride = size + config.bus_bytes * rng.randint(0, 40)
    address = config.bus_bytes * rng.randint(0, 300)
    return {
        "width": width, "height": height, "groups": groups, "group_stride": stride,
        "address": address,
    }  # fmt: skip


def load_cases(rng, config):
    """Return random load commands, and a function that says what each port must show."""
    commands = []
    for _ in range(6):
        kind = rng.choice(
            (LoadActivations, LoadActivations, LoadWeights, Fetch)
            + ((LoadOffsets,) if config.offset_depth else ())
        )
        address = config.bus_bytes * rng.randint(0, 300)
        if kind is LoadActivations:
            steps = {"base": rng.randint(0, 50), "row_step": 7, "group_step": 60}
            pixel = rng.choice((0, *(size.bit_length() for size in config.pixel_sizes)))
            commands.append(kind(**random_block(rng, config), **steps, pixel=pixel))
        elif kind in (LoadWeights, LoadOffsets):
            commands.append(
                kind(address=address, words=rng.randint(1, 70), base=rng.randint(0, 99))
            )
        else:
            commands.append(kind(address=address, unit=int(Unit.COMPUTE), count=rng.randint(1, 4)))

    def expected(port, memory):
        log = []
        for c in commands:
            if isinstance(c, LoadActivations) and port == "act_write":
                size = c.pixel_bytes or config.rows
                for group in range(c.groups):
                    for row in range(c.height):
                        at = c.address + group * c.group_stride
                        at += row * row_bytes(config, c.width, size)
                        first = c.base + group * c.group_step + row * c.row_step
                        for x in range(c.width):
                            word = int.from_bytes(memory[at + x * size :][:size], "little")
                            log.append((x % config.cols, first + x // config.cols, word))
            elif {"weight_write": LoadWeights, "offset_write": LoadOffsets}.get(port) is type(c):
                data = words_of(config, memory[c.address : c.address + c.words * config.rows])
                log += [(c.base + i, word) for i, word in enumerate(data)]
            elif isinstance(c, Fetch) and port == "fetch_1":
                size = config.bus_bytes
                for at in range(c.address, c.address + c.count * Unit.COMPUTE.least_bytes, size):
                    log.append((int.from_bytes(memory[at : at + size], "little"),))
        return log

    return commands, expected


def store_cases(rng, config):
    """Return random store commands, what memory must hold after them, and the word's bits."""
    blocks = [random_block(rng, config) for _ in range(3)]
    commands = [Store(**block, base=rng.randint(0, config.out_depth - 1)) for block in blocks]

    def expected(words):
        memory = bytearray(MEMORY_BYTES)
        for c in commands:
            index = c.base
            for group in range(c.groups):
                for row in range(c.height):
                    at = c.address + group * c.group_stride + row * row_bytes(config, c.width)
                    data = b""
                    for _ in range(c.width):
                        data += words[index % config.out_depth].to_bytes(config.rows, "little")
                        index += 1
                    size = row_bytes(config, c.width)
                    memory[at : at + size] = data.ljust(size, b"\0")
        return bytes(memory)

    return commands, expected, 8 * config.rows
