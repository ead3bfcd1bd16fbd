"""Random compute commands and what they mean, loop by loop in plain Python."""

from fractions import Fraction

from tilewright.isa import Compute
from tilewright.isa.passes import weight_words

WORD = 1 << 16  # addresses are modulo this


def random_compute(rng, config, **fields):
    """Return a command that may run on an engine with memories of ``WORD`` words.

    Small loops, one iteration being as likely as several; anything that wraps does so often.
    """

    def some(most):
        return rng.choice((1, rng.randint(1, most)))

    cols, ring = config.cols, rng.randint(8, 60)
    segment_log2 = rng.randrange(config.rows.bit_length())
    out_w = rng.randint(1, 2 * cols + 1)
    x0, s_dx = rng.randint(-2 * cols, cols), rng.randint(1, 2 * cols + 1)
    qmin = rng.randint(-128, 0)
    values = {
        "signed": rng.randrange(2),
        "maximum": int(rng.random() < 0.2),
        "to_act": rng.randrange(2),
        "to_out": rng.randrange(2),
        "segment_log2": segment_log2,
        "segment": rng.randint(1, 1 << segment_log2),
        "last_segment": rng.randint(1, 1 << segment_log2),
        "n_kg": some(2),
        "n_oy": some(3),
        "n_ox": -(-out_w // cols),
        "n_cg": some(3),
        "n_r": some(3),
        "n_s": some(3),
        "stride_x": rng.randint(1, cols + 1),
        "weight_base": rng.randrange(WORD),
        "act_base": rng.randrange(WORD),
        "act_row": rng.randrange(ring),
        "act_ring": ring,
        "kg_step": rng.randrange(WORD),
        "cg_step": rng.randrange(WORD),
        "oy_step": rng.randrange(ring),
        "r_step": rng.randrange(ring),
        "y0": rng.randint(-3, 2),
        "oy_dy": rng.randint(1, 3),
        "r_dy": rng.randint(1, 3),
        "in_h": rng.randint(1, 8),
        "x0": x0,
        "x0_word": x0 // cols,
        "x0_lane": x0 % cols,
        "s_dx": s_dx,
        "s_word": s_dx // cols,
        "s_lane": s_dx % cols,
        "in_w": rng.randint(1, 4 * cols),
        "pad": rng.randrange(256),
        "zero_point": rng.randint(-20, 20),
        "qmin": qmin,
        "qmax": rng.randint(qmin, 127),
        "out_w": out_w,
        "dst_step": rng.choice([step for step in range(1, 8) if step % cols]),
        "out_base": rng.randrange(WORD),
        "out_kg_step": rng.randrange(WORD),
        "out_row_step": rng.randrange(1 << 14),
        "dst_base": rng.randrange(WORD),
        "dst_lane": rng.randrange(cols),
        "dst_kg_step": rng.randrange(WORD),
        "dst_row_step": rng.randrange(WORD),
    }
    return Compute(**{**values, **fields})


def random_product(rng, config, **fields):
    """Return a product of two maps, its flags included."""
    signed = rng.randrange(2)
    return random_compute(
        rng,
        config,
        **{
            "maximum": 0,
            "segment": 0,
            "last_segment": 1,
            "n_cg": 2,
            "n_r": 1,
            "n_s": 1,
            "stride_x": 1,
            "s_dx": signed,
            "s_word": 0,
            "s_lane": signed,
            "r_dy": rng.randrange(2),
            **fields,
        },
    )


def passes(c, config):
    """Yield the passes of a command, with the fields of ``pass_layout``."""
    for kg in range(c.n_kg):
        for oy in range(c.n_oy):
            for ox in range(c.n_ox):
                out = c.out_base + kg * c.out_kg_step + oy * c.out_row_step
                dst = c.dst_base + kg * c.dst_kg_step + oy * c.dst_row_step
                x = c.x0 + ox * config.cols * c.stride_x
                yield {
                    "group": (c.act_base + kg * c.kg_step) % WORD,
                    "row": (c.act_row + oy * c.oy_step) % c.act_ring,
                    "y": c.y0 + oy * c.oy_dy,
                    "x": x,
                    "word": x // config.cols % WORD,
                    "dst": (dst + ox * c.dst_step) % WORD,
                    "out": (out + ox * config.cols * c.dst_step) % WORD,
                    "pixels": min(config.cols, c.out_w - ox * config.cols),
                    "first_of_command": int((kg, oy, ox) == (0, 0, 0)),
                    "first_of_kg": int((oy, ox) == (0, 0)),
                    "last_row": int(oy == c.n_oy - 1),
                    "last_of_command": int((kg, oy, ox) == (c.n_kg - 1, c.n_oy - 1, c.n_ox - 1)),
                }


def segments(c, config, one_pass):
    """Yield the segments of a pass, with the fields of ``segment_layout`` and a few more."""
    flags = {
        name: one_pass[name] for name in ("first_of_command", "first_of_kg", "last_of_command")
    }
    for cg in range(c.n_cg):
        for r in range(c.n_r):
            for s in range(c.n_s):
                x, y = one_pass["x"] + s * c.s_dx, one_pass["y"] + r * c.r_dy
                first, short = int((cg, r, s) == (0, 0, 0)), int(cg == c.n_cg - 1)
                count = c.last_segment if short else c.segment
                if c.product:
                    count = config.cols if short else c.factor_steps
                yield {
                    "group": (one_pass["group"] + cg * c.cg_step) % WORD,
                    "row": (one_pass["row"] + r * c.r_step) % c.act_ring,
                    "y": y,
                    "row_valid": int(0 <= y < c.in_h),
                    "x": x,
                    "word": x // config.cols % WORD,
                    "lane": x % config.cols,
                    "short": short,
                    "count": count,
                    "first": first,
                    "opens": first | int(c.product and not c.factor_steps),
                    "closes": int(count > 0),
                    "tap": 0,
                    "last": int((cg, r, s) == (c.n_cg - 1, c.n_r - 1, c.n_s - 1)),
                    "new_kg": first & one_pass["first_of_kg"],
                    **flags,
                }


def _factors(c, word):
    """Return the weights that a product makes of a pixel word of its factor."""
    values = [b - 256 if c.factor_signed and b > 127 else b for b in (*word, c.pad)]
    return [value - values[-1] for value in values[:-1]]


def requantize(total, multiplier, shift, c):
    """Return the byte of an accumulator: scaled, rounded half to even, saturated."""
    value = round(Fraction(total * multiplier, 1 << shift)) + c.zero_point
    return max(c.qmin, min(c.qmax, value)) & 0xFF


def results(c, config, activation, weight, parameters, sample=None, sums=None):
    """Return the words that a command writes: (address, word) and (lane, address, word), in order.

    ``activation(lane, address)`` and ``weight(address)`` return lists of ``rows`` bytes and of
    ``rows`` signed weights; ``parameters[kg][row]`` is bias, multiplier and shift.
    ``sample``, if given, returns the ``rows`` bytes of a window's pixel, for the segment's number
    in its pass, output row and column, lane word of the channel group, input row and column.
    ``sums``, if given, is a list with the accumulators by pixel and row, which is brought up to
    date: what a command that resumes begins with.
    """
    out, act = [], []
    for index, one_pass in enumerate(passes(c, config)):
        kg, oy, ox = index // (c.n_oy * c.n_ox), index // c.n_ox % c.n_oy, index % c.n_ox
        taps = list(segments(c, config, one_pass))
        # A kernel group's weights follow its parameters, and the next group follows them.
        block = config.param_words + weight_words(config, c)
        step = c.weight_base + kg * block + config.param_words
        pixels = one_pass["pixels"] if sums is None else config.cols
        products = [[[] for _ in range(config.rows)] for _ in range(pixels)]
        seen = []  # the words of each window
        for number, tap in enumerate(taps):
            windows, words = [], []
            for j in range(pixels):
                x = tap["x"] + j * c.stride_x
                word = [c.pad] * config.rows
                if sample is not None:
                    word = sample(number, oy, ox * config.cols + j, tap["group"], tap["y"], x)
                elif tap["row_valid"] and 0 <= x < c.in_w:
                    place = tap["group"] + tap["row"] + x // config.cols
                    word = activation(x % config.cols, place % WORD)
                words.append(word)
                windows.append([b - 256 if c.signed and b > 127 else b for b in word])
            if c.product and tap["short"]:
                for j, window in enumerate(windows):
                    for row, own in enumerate(_factors(c, seen[0][j])):
                        channel = row - row % (1 << c.segment_log2)
                        products[j][row].append(window[channel] * own)
                continue
            seen.append(words)
            for i in range(tap["count"]):
                weights = weight(step % WORD)
                step += 1
                for j, window in enumerate(windows):
                    for row in range(config.rows):
                        channel = row - row % (1 << c.segment_log2) + i
                        products[j][row].append(window[channel] * weights[row])
        if c.resume:
            products = [
                [[before, *terms] for before, terms in zip(*rows, strict=True)]
                for rows in zip(sums, products, strict=True)
            ]
        totals = [[max(t) if c.maximum else sum(t) for t in of_pixel] for of_pixel in products]
        if sums is not None:
            sums[:] = totals
        for j, of_pixel in enumerate(totals[: one_pass["pixels"]]):
            word = 0
            for row, total in enumerate(of_pixel):
                bias, multiplier, shift = parameters[kg][row]
                total += bias
                word |= requantize(total, multiplier, shift, c) << 8 * row
            x = ox * config.cols + j
            place = c.out_base + kg * c.out_kg_step + oy * c.out_row_step + x * c.dst_step
            if c.to_out:
                out.append((place % WORD, word))
            pixel = c.dst_lane + x * c.dst_step
            place = c.dst_base + kg * c.dst_kg_step + oy * c.dst_row_step + pixel // config.cols
            if c.to_act:
                act.append((pixel % config.cols, place % WORD, word))
    return out, act
