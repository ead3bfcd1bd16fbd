"""Random small networks: chains with branches, shortcuts, movements and several outputs."""

from dataclasses import replace

import numpy as np

from tests.cosim.random_layers import random_requantize, random_type, window_out
from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Gate,
    Graph,
    Input,
    Lookup,
    MaxPool2d,
    Output,
    PixelShuffle,
    PixelUnshuffle,
    Requantize,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)

KINDS = (
    "conv", "pointwise", "depthwise", "group", "multiplier", "max", "avg", "add",
    "concat", "concat", "select", "upsample", "shuffle", "unshuffle",
)  # fmt: skip


def random_movement(rng, kind, name, source, output, values):
    """Return an operator that moves data, and its output's shape."""
    x = values[source]
    channels, height, width = x.shape
    r = int(rng.integers(1, 4))
    match kind:
        case "concat":
            alike = [v for v, t in values.items() if replace(t, shape=x.shape) == x]
            alike = [v for v in alike if values[v].shape[1:] == x.shape[1:]]
            others = [str(v) for v in rng.choice(alike, int(rng.integers(1, 3)))]
            sources = [str(v) for v in rng.permutation([source, *others])]
            total = sum(values[v].shape[0] for v in sources)
            return Concat(name, tuple(sources), output), (total, height, width)
        case "select":
            start = int(rng.integers(channels))
            chosen = np.arange(channels)[start : int(rng.integers(start, channels)) + 1]
            if rng.random() < 0.3:
                chosen = rng.permutation(channels)
            elif rng.random() < 0.2:
                chosen = rng.integers(0, channels, 3)
            return SelectChannels(name, source, output, chosen), (len(chosen), height, width)
        case "upsample":
            factor = tuple(int(n) for n in rng.integers(1, 4, 2))
            shape = (channels, height * factor[0], width * factor[1])
            return Upsample(name, source, output, factor), shape
        case "shuffle" if channels % (r * r) == 0:
            return PixelShuffle(name, source, output, r), (
                channels // (r * r), height * r, width * r,
            )  # fmt: skip
        case "unshuffle" if height % r == width % r == 0:
            return PixelUnshuffle(name, source, output, r), (
                channels * r * r, height // r, width // r,
            )  # fmt: skip
    return Upsample(name, source, output, (1, 1)), x.shape


def gate_of(rng, config, name, source, output, values):
    """Return the operators of a squeeze and excitation, and add their values."""
    x = values[source]
    channels, height, width = x.shape
    mean, gate = f"{output}.mean", f"{output}.gate"
    values[mean] = replace(random_type(rng, (channels, 1, 1), bits=8), zero_point=0)
    values[gate] = replace(values[mean], bits=7, signed=False)
    values[output] = random_type(rng, x.shape, bits=8)
    sizes = (height, width)
    weight = rng.integers(-128, 128, (channels, channels, 1, 1))
    scales = [
        random_requantize(rng, values[v], config.multiplier_width) for v in (mean, gate, output)
    ]
    return [
        AvgPool2d(f"{name}.mean", source, mean, sizes, sizes, (0, 0, 0, 0), scales[0]),
        Conv2d(
            f"{name}.gate", mean, gate, weight, 8, rng.integers(0, 1000, channels),
            (1, 1), (0, 0, 0, 0), (1, 1), 1, scales[1],
        ),
        Gate(name, source, gate, output, scales[2]),
    ]  # fmt: skip


def random_network(rng, config, size):
    """Return a graph of 3..9 layers on ``size`` pixels (height, width), and its inputs."""
    rows, multiplier_width = config.rows, config.multiplier_width
    # Few grids, so that values can be concatenated.
    grids = [random_type(rng, (1, 1, 1), bits=8) for _ in range(2)]

    def some_type(shape):
        return replace(grids[rng.integers(2)], shape=tuple(map(int, shape)))

    values = {"x": some_type((rng.integers(1, 2 * rows), *size))}
    ops = [Input("input", "x")]
    read, nonnegative = set(), {v for v, t in values.items() if not t.signed}
    for index in range(int(rng.integers(3, 10))):
        name, output = f"layer{index}", f"v{index}"
        # Mostly the value before, so that chains form; sometimes an older one.
        names = list(values)
        source = names[-1] if rng.random() < 0.75 else str(rng.choice(names))
        kind = str(rng.choice((*KINDS, "lookup") if config.tables else KINDS))
        if rng.random() < 0.1 and config.weight_bits == 8:
            kind = str(rng.choice(("gate", "bilinear")))
        x = values[source]
        channels, height, width = x.shape
        kernels, groups = int(rng.integers(1, 3 * rows)), 1
        kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
        stride = (1, 1) if rng.random() < 0.7 else tuple(int(n) for n in rng.integers(1, 3, 2))
        padding = tuple(
            int(rng.integers(0, k)) for k in (kernel[0], kernel[0], kernel[1], kernel[1])
        )
        if kind == "pointwise":
            kernel, stride, padding = (1, 1), (1, 1), (0, 0, 0, 0)
        elif kind == "depthwise":
            groups = kernels = channels
        elif kind == "multiplier":
            groups, kernels = channels, channels * int(rng.integers(2, 4))
        elif kind == "group":
            groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
            kernels = groups * int(rng.integers(1, 6))
        elif kind in ("max", "avg"):
            if kind == "max" and config.weight_bits == 4 and source not in nonnegative:
                continue
            kernels = channels
            padding = tuple(
                min(p, k // 2) for p, k in zip(padding, np.repeat(kernel, 2), strict=True)
            )
        elif kind == "add":
            alike = [v for v, t in values.items() if t.shape == x.shape]
            other = str(rng.choice(alike))
            output_type = some_type(x.shape)
            sides = [
                Requantize((1,) * channels, (int(rng.integers(2)),) * channels, 0, -128, 127)
                for _ in range(2)
            ]
            requantize = random_requantize(rng, output_type, multiplier_width)
            ops.append(Add(name, source, other, output, *sides, requantize, 8, True))
            values[output] = output_type
            read |= {source, other}
            continue
        elif kind == "bilinear":
            factor = tuple(int(n) for n in rng.integers(1, 4, 2))
            y = random_type(rng, (channels, height * factor[0], width * factor[1]), bits=8)
            scale = random_requantize(rng, y, multiplier_width)
            ops.append(UpsampleBilinear(name, source, output, factor, scale))
            values[output] = y
            read.add(source)
            continue
        elif kind == "gate":
            # Squeeze: the mean of each channel, and a layer that mixes them.
            ops += gate_of(rng, config, name, source, output, values)
            read |= {source, f"{output}.mean", f"{output}.gate"}
            continue
        elif kind == "lookup":
            y = random_type(rng, x.shape)
            table = rng.integers(y.qmin, y.qmax + 1, 1 << x.bits)
            ops.append(Lookup(name, source, output, table))
            values[output] = y
            read.add(source)
            if int(table.min()) >= 0:
                nonnegative.add(output)
            continue
        elif kind in ("concat", "select", "upsample", "shuffle", "unshuffle"):
            op, shape = random_movement(rng, kind, name, source, output, values)
            if shape[0] > 6 * rows or max(shape[1:]) > min(60, config.out_depth):
                continue
            ops.append(op)
            values[output] = replace(x, shape=tuple(map(int, shape)))
            read |= set(op.inputs)
            if all(v in nonnegative for v in op.inputs):
                nonnegative.add(output)
            continue
        shape = (
            kernels,
            window_out(height, kernel[0], stride[0], 1, padding[:2]),
            window_out(width, kernel[1], stride[1], 1, padding[2:]),
        )
        if min(shape) < 1 or kernels > 6 * rows:
            continue
        y = some_type(shape)
        requantize = random_requantize(rng, y, multiplier_width)
        if rng.random() < 0.4:
            requantize = replace(requantize, qmin=max(0, y.qmin))
        if source in nonnegative if kind == "max" else requantize.qmin >= 0:
            nonnegative.add(output)
        if kind == "max":
            y = replace(x, shape=shape)
            op = MaxPool2d(name, source, output, kernel, stride, padding, (1, 1))
        elif kind == "avg":
            op = AvgPool2d(name, source, output, kernel, stride, padding, requantize)
        else:
            bits = int(rng.integers(2, config.weight_bits + 1))
            weight = rng.integers(
                -(1 << (bits - 1)), 1 << (bits - 1), (kernels, channels // groups, *kernel)
            )
            bias = rng.integers(-1000, 1000, kernels)
            op = Conv2d(
                name, source, output, weight, bits, bias,
                stride, padding, (1, 1), groups, requantize,
            )  # fmt: skip
        ops.append(op)
        values[output] = y
        read.add(source)
    outputs = [v for v in values if v not in read or (v != "x" and rng.random() < 0.15)]
    ops += [Output(f"output{k}", v) for k, v in enumerate(outputs)]
    x = values["x"]
    return Graph("network", values, tuple(ops)), [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]
