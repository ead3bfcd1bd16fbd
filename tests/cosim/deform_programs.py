"""Random deformable compute commands as programs, and what they mean, in plain Python."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tests.cosim.programs import Author
from tests.hdl.compute_cases import WORD, random_compute, results
from tilewright.isa import (
    Deform,
    LoadActivations,
    LoadOffsets,
    LoadWeights,
    Store,
    Unit,
    least_last_parts,
)
from tilewright.isa.layout import pack_weights


@dataclass(frozen=True)
class Case:
    """What a random command is about; the rest follows from the engine and the generator.

    ``offsets``: "far" for any byte, "near" for a few pixels, "whole" for positions on pixels.
    ``kind``: "dense", "group" or "depthwise". ``strip``: only some rows are on chip. ``plain``: an
    ordinary command, of the same input, instead.
    """

    kind: str
    fraction: int
    mask_fraction: int
    shared: int
    offsets: str
    strip: bool
    plain: bool


def random_case(rng, config):
    """Return a case."""
    plain = rng.random() < 0.2
    return Case(
        kind=rng.choice(("dense", "group", "depthwise")),
        fraction=rng.randint(0, config.offset_fraction),
        mask_fraction=rng.choice((0, rng.randint(0, config.mask_fraction))),
        shared=rng.randint(1, 3),
        offsets=rng.choice(("far", "near", "whole")),
        strip=not plain and rng.random() < 0.4,
        plain=plain,
    )


class DeformAuthor(Author):
    """Writes deformable commands with all that they read, each in its own place."""

    def deform(self, case, **fields):
        """Append loads, a Deform, its command and the store of its results."""
        config, rng = self.config, self.rng
        rows, cols = config.rows, config.cols
        log2 = rows.bit_length() - 1
        log2 = {"dense": log2, "group": rng.randint(0, log2), "depthwise": 0}[case.kind]
        log2 = max(log2, config.least_segment_log2)
        out_w = rng.randint(1, 2 * cols + 1)
        in_w = rng.randint(1, 3 * cols)
        in_h = rng.randint(1, 9)
        pitch = -(-in_w // cols) | 1
        stride = rng.randint(1, 3)
        x0, s_dx = rng.randint(-3, 3), rng.randint(1, 3)
        ring_rows = (in_h if not case.strip else rng.randint(1, in_h)) + 1
        ring_rows += ring_rows % 2
        ring = ring_rows * pitch
        groups = max(1, min(3, config.act_depth // 2 // ring))
        n_cg = rng.randint(1, groups) if case.kind == "dense" else 1
        n_kg = rng.randint(1, 2)
        per_group = case.kind != "dense" and n_kg <= groups
        c = random_compute(
            rng,
            config,
            segment_log2=log2,
            segment=1 << log2,
            last_segment=rng.randint(1, 1 << log2),
            n_kg=n_kg,
            n_oy=rng.randint(1, 3),
            n_ox=-(-out_w // cols),
            n_cg=n_cg,
            stride_x=stride,
            weight_base=self.next_weight,
            act_base=rng.randrange(config.act_depth - groups * ring + 1),
            act_ring=ring,
            kg_step=ring if per_group else 0,
            cg_step=ring,
            y0=rng.randint(-2, 2),
            in_h=in_h,
            x0=x0,
            x0_word=x0 // cols,
            x0_lane=x0 % cols,
            s_dx=s_dx,
            s_word=s_dx // cols,
            s_lane=s_dx % cols,
            in_w=in_w,
            to_act=0,
            to_out=1,
            out_w=out_w,
            dst_step=1,
            out_base=rng.randrange(config.out_depth),
            maximum=int(rng.random() < 0.1),
            **fields,
        )
        c = replace(c, out_row_step=out_w, out_kg_step=c.n_oy * out_w)
        resident = ring_rows - (not case.strip and ring_rows > in_h)
        resident = min(resident, in_h)
        first_row = rng.randint(0, in_h - resident)
        slot = rng.randrange(ring_rows)
        taps = c.n_r * c.n_s
        limits = (-128, 127)
        if rng.random() < 0.3:
            limits = sorted(rng.randint(-40, 40) for _ in range(2))
        d = Deform(
            fraction=case.fraction,
            mask_fraction=case.mask_fraction,
            dy_least=limits[0],
            dy_most=limits[1],
            taps=taps,
            shared=case.shared,
            row_pitch=pitch,
            first_row=first_row,
            rows=resident,
            row_base=slot * pitch,
            last_parts=rng.randint(least_last_parts(config, c), cols),
            offset_base=0,
            row_step=0,
            group_step=0,
        )
        c = replace(
            c,
            act_row=(slot - first_row + c.y0) % ring_rows * pitch,
            oy_step=c.oy_dy % ring_rows * pitch,
            r_step=c.r_dy % ring_rows * pitch,
        )
        loads = [
            self._load_rows(c, d, groups, slot, pitch, first_row, resident),
            self._load_weights(c),
        ]
        d, sample, loaded = self._load_positions(case, c, d)
        parameters, weights = self._parameters, self.weights
        out, _ = results(
            c,
            config,
            lambda lane, address: self.activations[lane, address],
            lambda address: weights[address % config.weight_depth],
            parameters,
            None if case.plain else sample,
        )
        before = {Unit.LOAD: max(*loads, *loaded)}
        if self.counts[Unit.STORE]:
            before[Unit.STORE] = self.counts[Unit.STORE] - 1
        if not case.plain:
            self._append(d, before)
        computed = self._append(c, before)
        for address, word in out:
            self.out[address % config.out_depth] = word.to_bytes(rows, "little")
        self._store_results(c, computed)

    def _load_rows(self, c, d, groups, slot, pitch, first_row, resident):
        """Fill the rows of a ring that are on chip; the others keep what they had."""
        config = self.config
        ring_rows = c.act_ring // pitch
        row_bytes = -(-c.in_w * config.rows // config.bus_bytes) * config.bus_bytes
        self.pixels = {}
        row = first_row
        while row < first_row + resident:
            at = (slot + row - first_row) % ring_rows
            count = min(first_row + resident - row, ring_rows - at)
            data = self.rng.randbytes(groups * count * row_bytes)
            for group in range(groups):
                for y in range(count):
                    for x in range(c.in_w):
                        i = (group * count + y) * row_bytes + x * config.rows
                        key = (c.act_base + group * c.act_ring) % WORD, row + y, x
                        self.pixels[key] = data[i : i + config.rows]
                        word = c.act_base + group * c.act_ring + (at + y) * pitch
                        place = x % config.cols, word + x // config.cols
                        self.activations[place] = list(self.pixels[key])
            index = self._append(
                LoadActivations(
                    address=self._place(data),
                    groups=groups,
                    group_stride=count * row_bytes,
                    height=count,
                    width=c.in_w,
                    base=c.act_base + at * pitch,
                    row_step=pitch,
                    group_step=c.act_ring,
                ),
                self._before(),
            )
            row += count
        return index

    def _before(self):
        """Return the waits of a command that overwrites what the commands so far have read."""
        computes = self.counts[Unit.COMPUTE]
        return {Unit.COMPUTE: computes - 1} if computes else {}

    def _load_weights(self, c):
        config, rng = self.config, self.rng
        rows = config.rows
        steps = c.windows * ((c.n_cg - 1) * c.segment + c.last_segment)
        shift = 19 if c.maximum else 25 + (steps // 8).bit_length() // 2
        shift -= 18 - config.multiplier_width
        block, self._parameters = [], []
        width = config.weight_bits
        for _ in range(c.n_kg):
            top = 1 << (config.multiplier_width - 1)
            group = [
                (rng.randint(-500, 500), rng.getrandbits(config.multiplier_width - 1) | top, shift)
            ] * rows
            self._parameters.append(group)
            acc, mult = config.acc_width, config.multiplier_width
            whole = [
                bias % (1 << acc) | multiplier << acc | shift << (acc + mult)
                for bias, multiplier, shift in group
            ]
            block += [
                [word >> width * i & ((1 << width) - 1) for word in whole]
                for i in range(config.param_words)
            ]
            low, high = (0, 1) if c.maximum else (-(1 << width - 1), (1 << width - 1) - 1)
            block += [[rng.randint(low, high) for _ in range(rows)] for _ in range(steps)]
        # Whole units of `rows` bytes.
        block += [[0] * rows] * (-len(block) % config.weights_per_byte)
        for i, word in enumerate(block):
            half = 1 << (width - 1)
            place = (self.next_weight + i) % config.weight_depth
            self.weights[place] = [(value + half) % (2 * half) - half for value in word]
        data = pack_weights(config, np.array(block)).tobytes()
        base = self.next_weight // config.weights_per_byte
        load = LoadWeights(address=self._place(data), words=len(data) // rows, base=base)
        self.next_weight = (self.next_weight + len(block)) % config.weight_depth
        return self._append(load, self._before())

    def _load_positions(self, case, c, d):
        """Fill the offset buffer; return the finished Deform, a sampler, and the loads."""
        config, rng = self.config, self.rng
        rows, depth = config.rows, config.offset_depth
        half = depth // 2
        count = -(-c.n_cg // d.shared) * d.taps  # of positions of a pixel
        offset_byte = rng.randrange(0, rows, 2)
        mask_byte = rng.randrange(rows)
        row_step = c.out_w + rng.randint(0, 1)
        height = c.n_oy * row_step
        room = half if d.mask_fraction else depth
        words = -(-(offset_byte + 2 * count) // rows)
        mask_words = -(-(mask_byte + count) // rows)
        while words * height > room or mask_words * height > half:
            raise ValueError("the case does not fit")
        # Offsets and masks in different halves; without masks over the edge of the buffer.
        upper = rng.randrange(2)
        offset_base = half * upper + rng.randint(0, half - words * height)
        if not d.mask_fraction:
            offset_base = rng.randrange(depth)
        mask_base = half * (1 - upper) + rng.randint(0, half - mask_words * height)
        d = replace(
            d,
            offset_base=offset_base,
            offset_byte=offset_byte,
            mask_base=mask_base if d.mask_fraction else rng.randrange(depth),
            mask_byte=mask_byte,
            row_step=row_step,
            group_step=height,
        )
        offsets = bytearray(rng.randbytes(words * height * rows))
        masks = bytearray(rng.randbytes(mask_words * height * rows))
        one = 1 << d.fraction

        def place(byte, index, oy, x):
            channel = byte + index
            word = channel // rows * height + oy * row_step + x
            return word * rows + channel % rows

        chosen = {}
        for oy in range(c.n_oy):
            for x in range(c.out_w):
                for tap in range(count):
                    y = c.y0 + oy * c.oy_dy + tap % d.taps // c.n_s * c.r_dy
                    dy, dx = self._offset(case, c, d, one, y)
                    mask = rng.randint(0, min(255, 1 << d.mask_fraction))
                    mask = rng.choice((mask, 0, min(255, 1 << d.mask_fraction)))
                    chosen[oy, x, tap] = dy, dx, mask if d.mask_fraction else 1
                    at = place(offset_byte, 2 * tap, oy, x)
                    offsets[at : at + 2] = bytes((dy & 0xFF, dx & 0xFF))
                    masks[place(mask_byte, tap, oy, x)] = mask
        loads = [self._load_words(offsets, d.offset_base)]
        if d.mask_fraction:
            loads.append(self._load_words(masks, d.mask_base))
        zero = c.pad - 256 if c.signed and c.pad > 127 else c.pad

        def sample(number, oy, column, group, y, x):
            cg, tap = divmod(number, d.taps)
            dy, dx, mask = chosen[oy, column, cg // d.shared * d.taps + tap]
            if not d.dy_least <= dy <= d.dy_most:
                return [c.pad] * rows
            at_y, at_x = Fraction(dy, one) + y, Fraction(dx, one) + x
            top, left = at_y.__floor__(), at_x.__floor__()
            total = [Fraction(0)] * rows
            for py, wy in ((top, 1 - (at_y - top)), (top + 1, at_y - top)):
                for px, wx in ((left, 1 - (at_x - left)), (left + 1, at_x - left)):
                    if 0 <= py < c.in_h and 0 <= px < c.in_w and wy * wx:
                        for i, byte in enumerate(self.pixels[group, py, px]):
                            q = byte - 256 if c.signed and byte > 127 else byte
                            total[i] += wy * wx * (q - zero)
            scale = Fraction(mask, 1 << d.mask_fraction)
            return [(zero + round(scale * value)) & 0xFF for value in total]

        return d, sample, loads

    def _offset(self, case, c, d, one, y):
        """Return an offset that reaches only rows that are on chip, or outside the input."""
        rng = self.rng
        for _ in range(200):
            dy, dx = (
                {
                    "far": rng.randint(-128, 127),
                    "near": rng.choice((rng.randint(-one, one), rng.randint(-3 * one, 3 * one))),
                    "whole": rng.randint(-3, 3) * one,
                }[case.offsets]
                for _ in range(2)
            )
            dy, dx = max(-128, min(127, dy)), max(-128, min(127, dx))
            reached = [y + dy // one] + ([y + dy // one + 1] if dy % one else [])
            there = range(d.first_row, d.first_row + d.rows)
            if not d.dy_least <= dy <= d.dy_most:
                return dy, dx
            if all(row in there or not 0 <= row < c.in_h for row in reached):
                return dy, dx
        raise ValueError("no offset stays within the rows on chip")

    def _load_words(self, data, base):
        size = len(data) // self.config.rows
        load = LoadOffsets(address=self._place(bytes(data)), words=size, base=base)
        return self._append(load, self._before())

    def _store_results(self, c, computed):
        """Write each kernel group's and row's results to memory."""
        rows = self.config.rows
        size = -(-c.out_w * rows // self.config.bus_bytes) * self.config.bus_bytes
        address = self._place(b"\xa5" * (c.n_kg * c.n_oy * size))
        data, word = b"", c.out_base
        for _ in range(c.n_kg * c.n_oy):
            words = (self.out[(word + x) % self.config.out_depth] for x in range(c.out_w))
            data += b"".join(words).ljust(size, b"\0")
            word += c.out_w
        self.stores.append((address, data))
        self._append(
            Store(
                address=address,
                groups=c.n_kg,
                group_stride=c.n_oy * size,
                height=c.n_oy,
                width=c.out_w,
                base=c.out_base,
            ),
            {Unit.COMPUTE: computed},
        )


def deformable(config, rng, commands=3):
    """Return a program of a few deformable commands, with others between them."""
    author = DeformAuthor(config, rng)
    while author.counts[Unit.STORE] < commands:
        kept = len(author.entries), dict(author.counts), len(author.data), author.next_weight
        try:
            author.deform(random_case(rng, config))
        except ValueError:  # too large for the buffers: another one
            del author.entries[kept[0] :], author.data[kept[2] :]
            author.counts, author.next_weight = kept[1], kept[3]
    return author.finish()
