"""Random small networks: chains with branches, shortcuts and several outputs."""

from dataclasses import replace

import numpy as np

from tests.cosim.random_layers import random_requantize, random_type, window_out
from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Conv2d,
    Graph,
    Input,
    Lookup,
    MaxPool2d,
    Output,
    Requantize,
)

KINDS = ("conv", "pointwise", "depthwise", "group", "multiplier", "max", "avg", "add")


def random_network(rng, config, size):
    """Return a graph of 3..8 layers on ``size`` pixels (height, width), and its inputs."""
    rows, multiplier_width = config.rows, config.multiplier_width
    values = {"x": random_type(rng, (int(rng.integers(1, 2 * rows)), *size), bits=8)}
    ops = [Input("input", "x")]
    read, nonnegative = set(), {v for v, t in values.items() if not t.signed}
    for index in range(int(rng.integers(3, 9))):
        name, output = f"layer{index}", f"v{index}"
        # Mostly the value before, so that chains form; sometimes an older one.
        names = list(values)
        source = names[-1] if rng.random() < 0.75 else str(rng.choice(names))
        kind = str(rng.choice((*KINDS, "lookup") if config.tables else KINDS))
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
            output_type = random_type(rng, x.shape, bits=8)
            sides = [
                Requantize((1,) * channels, (int(rng.integers(2)),) * channels, 0, -128, 127)
                for _ in range(2)
            ]
            requantize = random_requantize(rng, output_type, multiplier_width)
            ops.append(Add(name, source, other, output, *sides, requantize, 8, True))
            values[output] = output_type
            read |= {source, other}
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
        shape = (
            kernels,
            window_out(height, kernel[0], stride[0], 1, padding[:2]),
            window_out(width, kernel[1], stride[1], 1, padding[2:]),
        )
        if min(shape) < 1 or kernels > 6 * rows:
            continue
        y = random_type(rng, shape, bits=8)
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
