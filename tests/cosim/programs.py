"""Programs written by hand, command by command, and what they do, in plain Python."""

from dataclasses import dataclass, replace

import numpy as np

from tests.hdl.compute_cases import results
from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.codegen.streams import build_streams
from tilewright.isa import (
    Compute,
    EngineConfig,
    LoadActivations,
    LoadWeights,
    Store,
    Unit,
    encode,
)
from tilewright.sim.effects.machine import Machine

KINDS = ("dense", "depthwise", "maximum")


@dataclass(frozen=True)
class Tile:
    """A feature map in the activation buffer: channel groups, rows of lane words."""

    base: int
    groups: int
    height: int
    width: int

    def row_words(self, config):
        return -(-self.width // config.cols)

    def words(self, config):
        """Lane words of one channel group."""
        return self.height * self.row_words(config)


@dataclass(frozen=True)
class HandMade:
    """A finished program: ``expected`` is the memory after it, ``stores`` its writes in order."""

    config: EngineConfig
    image: np.ndarray
    expected: np.ndarray
    stores: tuple
    streams: object

    def isa(self, timing):
        """Run on the strict executor; return the memory, the events and the cycles."""
        memory = self.image.copy()
        machine = Machine(self.config, memory, timing, strict=True)
        events = machine.run(self.streams.addresses[Unit.LOAD], self.streams.boot_count)
        return memory, events, machine.finished + 1

    def rtl(self, session, timing, **options):
        """Run on the RTL; return the memory and the run."""
        options = {"cycle_limit": 1_000_000, **options}  # of a few thousand that it takes
        memory = self.image.copy()
        first, count = self.streams.addresses[Unit.LOAD], self.streams.boot_count
        return memory, session.run(memory, 0, first, count, timing, **options)

    def changed(self, unit, index, **fields):
        """Return the program with a command that has other fields; ``bits`` is or-ed to it."""
        bits = fields.pop("bits", 0)
        command = replace(self.streams.commands[unit][index], **fields)
        size = self.config.command_bytes(unit)
        word = int.from_bytes(encode(command, size), "little") | bits
        image, at = self.image.copy(), self.streams.addresses[unit] + index * size
        data = word.to_bytes(size, "little")
        image[at : at + size] = np.frombuffer(data, np.uint8)
        return replace(self, image=image)


class Author:
    """Writes commands one after another, and does at once what they mean.

    Every method returns the index of its command; ``after`` says which commands of other units
    must be complete before, as for :class:`tilewright.compiler.codegen.recorder.Entry`.
    """

    def __init__(self, config, rng):
        self.config, self.rng = config, rng
        self.entries, self.counts = [], dict.fromkeys(Unit, 0)
        self.data = bytearray()
        self.activations, self.weights, self.out = {}, {}, {}
        self.stores = []
        self.next_weight = config.weight_depth - 30  # the first block wraps

    def _append(self, command, after):
        self.entries.append(Entry(command, after))
        self.counts[command.UNIT] += 1
        return self.counts[command.UNIT] - 1

    def _place(self, data):
        """Put bytes into memory; return their address."""
        self.data += bytes(-len(self.data) % self.config.bus_bytes)
        self.data += data
        return len(self.data) - len(data)

    def _row_bytes(self, tile):
        return -(-tile.width * self.config.rows // self.config.bus_bytes) * self.config.bus_bytes

    def load(self, tile, after=None):
        """Fill a tile with random pixels."""
        rows, cols = self.config.rows, self.config.cols
        size = self._row_bytes(tile)
        data = self.rng.randbytes(tile.groups * tile.height * size)
        for group in range(tile.groups):
            for y in range(tile.height):
                for x in range(tile.width):
                    at = (group * tile.height + y) * size + x * rows
                    word = tile.base + group * tile.words(self.config)
                    word += y * tile.row_words(self.config) + x // cols
                    self.activations[x % cols, word] = list(data[at : at + rows])
        command = LoadActivations(
            address=self._place(data),
            groups=tile.groups,
            group_stride=tile.height * size,
            height=tile.height,
            width=tile.width,
            base=tile.base,
            row_step=tile.row_words(self.config),
            group_step=tile.words(self.config),
        )
        return self._append(command, after or {})

    def compute(self, source, kind, *, target=None, out=None, fence=0, after=None):
        """Convolve a tile, 3 x 3 with padding, to another tile or to words of the output buffer.

        Its weights are loaded before; the command waits for them.
        """
        config, rng = self.config, self.rng
        rows, words = config.rows, source.words(config)
        log2 = rows.bit_length() - 1 if kind == "dense" else 0
        row_words, groups = source.row_words(config), source.groups
        pixels = source.height * source.width
        command = Compute(
            fence=fence,
            maximum=int(kind == "maximum"),
            signed=1,
            to_act=int(target is not None),
            to_out=int(out is not None),
            segment_log2=log2,
            segment=1 << log2,
            last_segment=1 << log2,
            n_kg=groups,
            n_oy=source.height,
            n_ox=row_words,
            n_cg=groups if kind == "dense" else 1,
            n_r=3,
            n_s=3,
            stride_x=1,
            weight_base=self.next_weight,
            act_base=source.base,
            act_row=words - row_words,
            act_ring=words,
            kg_step=0 if kind == "dense" else words,
            cg_step=words,
            oy_step=row_words,
            r_step=row_words,
            y0=-1,
            oy_dy=1,
            r_dy=1,
            in_h=source.height,
            x0=-1,
            x0_word=-1,
            x0_lane=config.cols - 1,
            s_dx=1,
            s_word=0,
            s_lane=1,
            in_w=source.width,
            pad=rng.randrange(256),
            zero_point=rng.randint(-5, 5),
            qmin=-128,
            qmax=127,
            out_w=source.width,
            out_base=out or 0,
            out_kg_step=pixels,
            out_row_step=source.width,
            dst_base=target.base if target else 0,
            dst_kg_step=words,
            dst_row_step=row_words,
        )
        steps = 9 * command.n_cg * command.segment
        # So that sums of random products fill the range of a byte.
        shift = 19 if kind == "maximum" else 25 + (steps // 8).bit_length() // 2
        parameters, block = [], b""
        for _ in range(groups):
            group = [(rng.randint(-500, 500), rng.getrandbits(17) | 1 << 17, shift)] * rows
            parameters.append(group)
            whole = [
                (bias & 0xFFFFFFFF | multiplier << 32 | shift << 50).to_bytes(
                    config.param_words, "little"
                )
                for bias, multiplier, shift in group
            ]
            block += bytes(word[i] for i in range(config.param_words) for word in whole)
            # A maximum is one of activations: its weights are 0 or 1.
            weights = rng.randbytes(steps * rows)
            block += bytes(w & 1 for w in weights) if kind == "maximum" else weights
        count = len(block) // rows
        for i in range(count):
            word = block[i * rows : (i + 1) * rows]
            place = (self.next_weight + i) % config.weight_depth
            self.weights[place] = [byte - 256 if byte > 127 else byte for byte in word]
        load = LoadWeights(address=self._place(block), words=count, base=self.next_weight)
        loaded = self._append(load, {})
        self.next_weight = (self.next_weight + count) % config.weight_depth

        more_out, more_act = results(
            command,
            config,
            lambda lane, address: self.activations[lane, address],
            lambda address: self.weights[address % config.weight_depth],
            parameters,
        )
        for lane, address, word in more_act:
            self.activations[lane, address] = list(word.to_bytes(rows, "little"))
        for address, word in more_out:
            self.out[address % config.out_depth] = word.to_bytes(rows, "little")
        return self._append(command, {**(after or {}), Unit.LOAD: loaded})

    def store(self, tile, out, after):
        """Write results of a tile's shape to memory."""
        size = self._row_bytes(tile)
        address = self._place(b"\xa5" * (tile.groups * tile.height * size))
        data, word = b"", out
        for _ in range(tile.groups * tile.height):
            row = b"".join(self.out[(word + x) % self.config.out_depth] for x in range(tile.width))
            data += row.ljust(size, b"\0")
            word += tile.width
        self.stores.append((address, data))
        command = Store(
            address=address,
            groups=tile.groups,
            group_stride=tile.height * size,
            height=tile.height,
            width=tile.width,
            base=out,
        )
        return self._append(command, after)

    def finish(self):
        """Return the program."""
        start = len(self.data) + -len(self.data) % 64
        streams = build_streams(self.entries, self.config, start)
        image = self.data.ljust(start, b"\0") + streams.image(self.config)
        image = image.ljust(len(image) + -len(image) % 4096, b"\0")
        expected = bytearray(image)
        for address, data in self.stores:
            expected[address : address + len(data)] = data
        return HandMade(
            self.config,
            np.frombuffer(bytes(image), np.uint8),
            np.frombuffer(bytes(expected), np.uint8),
            tuple(self.stores),
            streams,
        )


def chain(config, rng, depth):
    """Convolutions on chip, each of the results of the one before; every result is stored too."""
    author = Author(config, rng)
    tiles = [Tile(base, 2, 3, config.cols + 1) for base in (0, 40)]
    author.load(tiles[0])
    size = 2 * 3 * tiles[0].width
    for index in range(depth):
        kind = rng.choice(KINDS)
        # The output buffer holds one result after another: a place again after its store.
        out = index * size
        after = {Unit.STORE: index - config.out_depth // size} if out >= config.out_depth else {}
        computed = author.compute(
            tiles[index % 2], kind, target=tiles[1 - index % 2], out=out % config.out_depth,
            fence=1, after=after,
        )  # fmt: skip
        author.store(tiles[0], out % config.out_depth, {Unit.COMPUTE: computed})
    return author.finish()


def stream(config, rng, count):
    """Tiles come and go through two places in each buffer, each waiting for who was there."""
    author = Author(config, rng)
    for index in range(count):
        tile = Tile(40 * (index % 2), 1, rng.randint(2, 4), rng.randint(1, 2 * config.cols))
        out = config.out_depth // 2 * (index % 2)
        before = {Unit.COMPUTE: index - 2} if index >= 2 else {}
        author.load(tile, before)
        after = {Unit.STORE: index - 2} if index >= 2 else {}
        computed = author.compute(tile, rng.choice(KINDS), out=out, after=after)
        author.store(tile, out, {Unit.COMPUTE: computed})
    return author.finish()
