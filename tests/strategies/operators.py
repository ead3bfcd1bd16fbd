"""A maker for every operator of the integer graph, and networks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.strategies.networks import MOST, Net
from tilewright.compiler import ir
from tilewright.compiler.ir import Graph, Op, Requantize, TensorType, VerifyError
from tilewright.compiler.ir.rules import check_op
from tilewright.compiler.ir.shapes import window_shape
from tilewright.isa import EngineConfig

Inputs = list[NDArray[np.int64]]


def any_kind(net: Net, source: str) -> TensorType:
    """Return any type; the shape does not matter."""
    return net.kind(net.values[source].shape)


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return some fields less."""
    return {name: value for name, value in fields.items() if name not in names}


def conv(net: Net, source: str) -> None:
    channels = net.values[source].shape[0]
    groups, each, kernels = net.groups(channels)
    window = net.window()
    kernel = window.pop("kernel")
    if net.chance(0.25):
        kernel, window = (1, 1), {"stride": (1, 1), "padding": (0,) * 4, "dilation": (1, 1)}
    kind = any_kind(net, source)
    if net.config.partial_depth and net.chance(0.5):  # what tiles may be for
        kernel, window["dilation"] = (3, 3), (1, 1)
    net.add(
        ir.Conv2d, source, kind, groups=groups,
        **net.weight((kernels, each, *kernel)), **window,
    )  # fmt: skip


def rounded(net: Net, source: str) -> None:
    """Tiles with any factors: engines have only their own, and the compiler makes those."""
    channels, m, extent = net.values[source].shape[0], net.numbers(2, 1, 3), net.numbers(2, 0, 2)
    stride, terms, kernels = net.numbers(2, 1, 2), net.number(1, 4), net.number(1, 6)
    tile = tuple((a - 1) * s + 1 + e for a, s, e in zip(m, stride, extent, strict=True))
    net.add(
        ir.RoundedConv2d, source, any_kind(net, source),
        kernels=net.rng.integers(-99, 99, (terms, kernels, channels)),
        data_factors=net.rng.integers(-3, 4, (terms, *tile)),
        output_factors=net.rng.integers(-3, 4, (terms, *m)),
        bias=np.zeros(kernels, np.int64), stride=stride, padding=(0,) * 4, groups=1,
    )  # fmt: skip


def transposed(net: Net, source: str) -> None:
    groups, each, kernels = net.groups(net.values[source].shape[0])
    kernel, stride = net.numbers(2, 1, 4), net.numbers(2, 1, 3)
    net.add(
        ir.ConvTranspose2d, source, any_kind(net, source), **net.weight((kernels, each, *kernel)),
        stride=stride, padding=tuple(net.number(0, k - 1) for k in np.repeat(kernel, 2)),
        output_padding=tuple(net.number(0, s - 1) for s in stride), groups=groups,
    )  # fmt: skip


def linear(net: Net, source: str) -> None:
    size = net.values[source].numel
    if size > 4096:
        raise VerifyError("too many weights")
    net.add(ir.Linear, source, any_kind(net, source), **net.weight((net.number(1, 40), size)))


def recurrence(net: Net, source: str) -> None:
    shape = net.values[source].shape
    kind, output = net.kind(shape), net.fresh("v")
    ends = net.requantize(ir.Rescale("", source, "", same(net.values[source])), kind, net.values)
    weight = net.weight((shape[0], shape[0], 1, 2 * net.number(0, 3) + 1))
    known = dict(net.values)
    net.values[output] = kind  # which its sums are of
    try:
        net.emit(
            ir.Recurrence, kind, input=source, output=output, columns=net.chance(0.5),
            backwards=net.chance(0.5), requantize_input=ends, **weight,
        )  # fmt: skip
    except VerifyError:
        net.values = known
        raise


def max_pool(net: Net, source: str) -> None:
    window = net.window()
    limits = np.repeat(window["kernel"], 2) // 2
    window["padding"] = tuple(map(min, window["padding"], map(int, limits)))
    net.add(ir.MaxPool2d, source, net.values[source], **window)


def avg_pool(net: Net, source: str) -> None:
    window = without(net.window(dilate=False), "dilation")
    if net.chance(0.3):
        _, height, width = net.values[source].shape
        window = {"kernel": (height, width), "stride": (height, width), "padding": (0,) * 4}
    net.add(ir.AvgPool2d, source, any_kind(net, source), **window)


def add(net: Net, source: str) -> None:
    kind = net.values[source]
    other = net.like(kind, same_type=False)
    bits, signed = (net.number(2, 9) if net.chance(0.1) else 8), net.chance(0.8)
    sides: list[Requantize] = []
    for value in (source, other):
        shared = net.kind(kind.shape, bits=bits, signed=signed)
        own = net.values[value]
        if net.chance(0.4) and own.bits <= bits and own.signed == signed:  # changes nothing
            sides.append(same(replace(shared, zero_point=own.zero_point)))
            continue
        probe = ir.Rescale("", value, "", same(own))
        sides.append(net.requantize(probe, shared, net.values))
    net.emit(
        ir.Add, net.kind(kind.shape), input_a=source, input_b=other, output=net.fresh("v"),
        requantize_a=sides[0], requantize_b=sides[1], shared_bits=bits, shared_signed=signed,
    )  # fmt: skip


def weighted_sum(net: Net, source: str) -> None:
    kind, sources = net.values[source], [source]
    for _ in range(net.number(0, 3)):
        other = net.like(kind, same_type=False)
        if other not in sources and net.values[other].signed == kind.signed:
            sources.append(other)
    most = net.one_of((1, 7, 127, 400))
    net.emit(
        ir.WeightedSum, net.kind(kind.shape), sources=tuple(sources), output=net.fresh("v"),
        factors=net.rng.integers(-most, most + 1, len(sources)), bias=net.number(-999, 999),
    )  # fmt: skip


def maximum(net: Net, source: str) -> None:
    kind = net.values[source]
    narrow = net.config.weight_bits < 8 and kind.signed
    if (narrow or not net.config.maximum) and not net.chance(0.1):
        raise VerifyError("engines refuse it")
    other = net.like(kind)
    net.emit(ir.Maximum, kind, input_a=source, input_b=other, output=net.fresh("v"))


def same(kind: TensorType) -> Requantize:
    """Return the requantization that changes nothing, to the range of a type."""
    channels = kind.shape[0]
    return Requantize((1,) * channels, (0,) * channels, kind.zero_point, kind.qmin, kind.qmax)


def rescale(net: Net, source: str) -> None:
    net.add(ir.Rescale, source, any_kind(net, source))


def gate(net: Net, source: str) -> None:
    kind = net.values[source]
    if net.config.weight_bits < 8 and not net.chance(0.1):
        raise VerifyError("engines refuse it")
    signed = net.chance(0.5)
    point = {} if net.chance(0.02) else {"zero_point": 0}
    factor = net.kind((kind.shape[0], 1, 1), bits=8 if signed else 7, signed=signed, **point)
    other = net.like(factor)
    net.emit(ir.Gate, any_kind(net, source), input=source, gate=other, output=net.fresh("v"))


def product(net: Net, source: str) -> None:
    if not net.config.multiplies_maps and not net.chance(0.05):
        raise VerifyError("engines refuse it")
    kind = net.values[source]
    channels = 1 if net.chance(0.2) else kind.shape[0]
    other = (
        source
        if net.chance(0.1)
        else net.like(replace(kind, shape=(channels, *kind.shape[1:])), same_type=False)
    )
    names = (source, other) if net.chance(0.5) else (other, source)
    net.emit(
        ir.Product, any_kind(net, source), input_a=names[0], input_b=names[1],
        output=net.fresh("v"),
    )  # fmt: skip


def factors(net: Net, shape: tuple[int, int, int]) -> str:
    """Return what stands for weights: mostly what an engine can multiply by."""
    signed = net.chance(0.5)
    point = {} if net.chance(0.02) else {"zero_point": 0}
    return net.like(net.kind(shape, bits=8 if signed else 7, signed=signed, **point))


def pixels(net: Net, count: int) -> tuple[int, int]:
    """Return any rows and columns of so many pixels."""
    height = net.one_of([n for n in range(1, count + 1) if count % n == 0])
    return height, count // height


def matmul(net: Net, source: str) -> None:
    kind = net.values[source]
    if (kind.zero_point or net.config.weight_bits < 8) and not net.chance(0.1):
        raise VerifyError("engines refuse it")
    channels, transposed = kind.shape[0], net.chance(0.5)
    groups = 1 if net.chance(0.5) else net.one_of([n for n in range(1, 9) if channels % n == 0])
    each = net.number(1, 3 * net.config.rows)
    shape = channels, *pixels(net, each)
    if not transposed:
        shape = groups * each, *pixels(net, channels // groups)
    net.emit(
        ir.MatMul, any_kind(net, source), input=source, weight=factors(net, shape),
        output=net.fresh("v"), transposed=transposed, groups=groups,
    )  # fmt: skip


def dynamic(net: Net, source: str) -> None:
    kind = net.values[source]
    if (kind.zero_point or net.config.weight_bits < 8) and not net.chance(0.1):
        raise VerifyError("engines refuse it")
    channels, window = kind.shape[0], net.window()
    taps = window["kernel"][0] * window["kernel"][1]
    groups, kernels = channels, channels
    if net.chance(0.5):
        groups, kernels = 1, net.number(1, 2 * net.config.rows)
    elif net.chance(0.5):
        groups = net.one_of([n for n in range(1, channels + 1) if channels % n == 0])
        kernels = groups * net.number(1, 3)
    shape = kernels, *pixels(net, taps * channels // groups)
    net.emit(
        ir.DynamicConv2d, any_kind(net, source), input=source, weight=factors(net, shape),
        output=net.fresh("v"), bias=net.rng.integers(-999, 1000, kernels),
        groups=groups, **window,
    )  # fmt: skip


def lookup(net: Net, source: str) -> None:
    kind = net.values[source]
    if kind.bits > 8 or (not net.config.tables and not net.chance(0.05)):
        raise VerifyError("engines refuse it")
    result = any_kind(net, source)
    table = net.rng.integers(result.qmin, result.qmax + 1, 1 << kind.bits)
    net.add(ir.Lookup, source, result, table=table)


def concat(net: Net, source: str) -> None:
    kind, sources = net.values[source], [source]
    for _ in range(net.number(0, 3)):
        channels = kind.shape[0] if net.chance(0.5) else net.number(1, 2 * net.config.rows)
        alike = [v for v, t in net.values.items() if replace(t, shape=kind.shape) == kind]
        alike = [v for v in alike if net.values[v].shape[1:] == kind.shape[1:]]
        wanted = replace(kind, shape=(channels, *kind.shape[1:]))
        sources.append(net.one_of(alike) if net.chance(0.6) else net.like(wanted))
    order = tuple(str(v) for v in net.rng.permutation(sources))
    net.emit(ir.Concat, kind, sources=order, output=net.fresh("v"))


def select(net: Net, source: str) -> None:
    count = net.values[source].shape[0]
    low = net.number(0, count - 1)
    chosen = np.arange(low, net.number(low, count - 1) + 1)
    if net.chance(0.3):
        chosen = net.rng.permutation(count)[: net.number(1, count)]
    elif net.chance(0.2):
        chosen = net.rng.integers(0, count, net.number(1, 2 * count))
    elif net.chance(0.3):
        chosen = np.arange(low, count, net.number(1, 4))
    net.add(ir.SelectChannels, source, net.values[source], channels=chosen)


def upsample(net: Net, source: str) -> None:
    most = 4 if net.chance(0.9) else 8
    net.add(ir.Upsample, source, net.values[source], factor=net.numbers(2, 1, most))


def bilinear(net: Net, source: str) -> None:
    net.add(ir.UpsampleBilinear, source, any_kind(net, source), factor=net.numbers(2, 1, 4))


def shuffle(net: Net, source: str) -> None:
    count = net.values[source].shape[0]
    factor = net.one_of([r for r in range(1, 9) if count % (r * r) == 0])
    net.add(ir.PixelShuffle, source, net.values[source], factor=factor)


def unshuffle(net: Net, source: str) -> None:
    _, height, width = net.values[source].shape
    factor = net.one_of([r for r in range(1, 9) if height % r == width % r == 0])
    net.add(ir.PixelUnshuffle, source, net.values[source], factor=factor)


def deform(net: Net, source: str) -> None:
    config, (channels, height, width) = net.config, net.values[source].shape
    if not config.offset_depth and not net.chance(0.05):
        raise VerifyError("engines refuse it")
    window = net.window()
    kernel = window.pop("kernel")
    size = window_shape(
        (height, width), kernel, window["stride"], window["padding"], window["dilation"]
    )
    if min(size) < 1:
        raise VerifyError("no position")
    shares = [g for g in range(1, channels + 1) if channels % g == 0]
    offset_groups = 1 if net.chance(0.5) else net.one_of(shares)
    taps = offset_groups * kernel[0] * kernel[1]
    if 2 * taps * size[0] * size[1] > 4 * MOST:
        raise VerifyError("too many positions")
    fraction = net.number(0, config.offset_fraction)
    offset = TensorType((2 * taps, *size), net.number(2, 8), True, 2.0**-fraction, 0)
    offsets = positions(net, offset)
    mask = None
    if config.mask_fraction >= 2 and net.chance(0.5):
        bits = net.number(2, config.mask_fraction)
        mask = positions(net, TensorType((taps, *size), bits, False, 2.0**-bits, 0))
    groups, each, kernels = net.groups(channels)
    net.emit(
        ir.DeformConv2d, any_kind(net, source), input=source, offset=offsets,
        mask=mask, output=net.fresh("v"), groups=groups, offset_groups=offset_groups,
        **net.weight((kernels, each, *kernel)), **window,
    )  # fmt: skip


def positions(net: Net, kind: TensorType) -> str:
    """Return offsets or masks: as they are given, or with bounds."""
    value = net.input(kind)
    if net.chance(0.5):
        return value
    name = net.fresh("v")
    low, high = sorted(net.numbers(2, kind.qmin, kind.qmax))
    limits = replace(same(kind), qmin=low, qmax=high)
    net.values[name] = kind
    net.ops.append(ir.Rescale(f"layer{len(net.ops)}", value, name, limits))
    net.read.add(value)
    return name


#: What adds one operator of each class that reads ``source``; raises VerifyError where none can.
def constant(net: Net, source: str) -> None:
    """A value of another one's shape, and what adds it to something."""
    kind = net.kind(net.values[source].shape)
    name = net.fresh("v")
    op = ir.Constant(
        f"layer{len(net.ops)}", name, net.rng.integers(kind.qmin, kind.qmax + 1, kind.shape)
    )
    check_op(op, {**net.values, name: kind})
    net.values[name] = kind
    net.ops.append(op)
    add(net, name)


MAKERS: Mapping[type[Op], Callable[[Net, str], None]] = {
    ir.Conv2d: conv,
    ir.RoundedConv2d: rounded,
    ir.DeformConv2d: deform,
    ir.DynamicConv2d: dynamic,
    ir.MatMul: matmul,
    ir.ConvTranspose2d: transposed,
    ir.Linear: linear,
    ir.Recurrence: recurrence,
    ir.MaxPool2d: max_pool,
    ir.AvgPool2d: avg_pool,
    ir.Add: add,
    ir.WeightedSum: weighted_sum,
    ir.Maximum: maximum,
    ir.Rescale: rescale,
    ir.Gate: gate,
    ir.Product: product,
    ir.Lookup: lookup,
    ir.Constant: constant,
    ir.Concat: concat,
    ir.SelectChannels: select,
    ir.Upsample: upsample,
    ir.UpsampleBilinear: bilinear,
    ir.PixelShuffle: shuffle,
    ir.PixelUnshuffle: unshuffle,
}

OFTEN = {
    ir.Conv2d: 4,
    ir.Add: 2,
    ir.Constant: 0.3,
    ir.DeformConv2d: 2,
    ir.Concat: 2,
    ir.RoundedConv2d: 0.02,
}


def random_network(
    rng: np.random.Generator,
    config: EngineConfig,
    *,
    layers: int = 6,
    scale: int = 1,
    only: type[Op] | None = None,
) -> tuple[Graph, Inputs]:
    """Return a graph of up to ``layers`` operators, and one image of its inputs.

    ``only``: operators of one class, beside those that make what they read.
    """
    net = Net(rng, config, scale)
    kinds = list(MAKERS) if only is None else [only]
    shares = np.array([OFTEN.get(kind, 1.0) for kind in kinds])
    wanted, tries = net.number(1, layers), 0
    while wanted and tries < 200:
        tries += 1
        maker = MAKERS[kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]]
        try:
            maker(net, net.source())
            wanted -= 1
        except VerifyError:
            continue
    outputs = [v for v in net.values if v not in net.read and not net.chance(0.03)]
    outputs += [v for v in net.values if net.chance(0.1)]
    outputs = outputs or list(net.values)[-1:]
    ends = [ir.Output(f"output{k}", v) for k, v in enumerate(outputs)]
    graph = Graph("network", net.values, (*net.ops, *ends))
    graph.verify()
    kinds_in = [net.values[op.output] for op in graph.inputs]
    return graph, [rng.integers(k.qmin, k.qmax + 1, (1, *k.shape)) for k in kinds_in]
