"""Graphs that grow at random: values, types, weights and requantizations.

Bits, weights and sums are mostly within what an engine has, so that much is compared; whatever else
the integer graph admits comes up now and then, and may be refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from tilewright.compiler import ir
from tilewright.compiler.ir import Op, Requantize, TensorType, VerifyError, accumulator_range
from tilewright.compiler.ir.rules import check_op
from tilewright.isa import EngineConfig

Shape: TypeAlias = tuple[int, int, int]
#: Elements of a value, at most, so that everything is fast.
MOST = 1 << 14


@dataclass
class Net:
    """A graph that grows.

    Parameters
    ----------
    rng : what is drawn
    config : the engine that it is for; bits and sums mostly fit it
    scale : roughly how large maps are, 1 for the usual
    """

    rng: np.random.Generator
    config: EngineConfig
    scale: int = 1
    values: dict[str, TensorType] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def number(self, low: int, high: int) -> int:
        """Return one of ``low .. high``."""
        return int(self.rng.integers(low, high + 1))

    def numbers(self, count: int, low: int, high: int) -> tuple[int, ...]:
        """Return several of ``low .. high``."""
        return tuple(int(n) for n in self.rng.integers(low, high + 1, count))

    def chance(self, probability: float) -> bool:
        """Return true now and then."""
        return bool(self.rng.random() < probability)

    def one_of(self, items: Any) -> Any:
        """Return one of several."""
        return items[int(self.rng.integers(len(items)))]

    def kind(self, shape: Shape, **given: Any) -> TensorType:
        """Return any type of a shape; wider than a byte rarely."""
        bits = (
            self.number(9, 16)
            if self.chance(0.2 if self.config.wide_maps else 0.004)
            else self.number(2, 8)
        )
        if self.chance(0.4):
            bits = 8
        bits, signed = given.get("bits", bits), given.get("signed", self.chance(0.5))
        t = TensorType(shape, bits, signed, 1.0, 0)
        point = self.number(t.qmin, t.qmax) if self.chance(0.4) else 0
        return replace(t, zero_point=given.get("zero_point", point))

    def shape(self) -> Shape:
        """Return any shape of an input."""
        rows = self.config.rows
        channels = self.number(1, 3 * rows if self.chance(0.2) else min(20, 2 * rows))
        size = (14 if self.chance(0.8) else 30) * self.scale
        h, w = self.numbers(2, 1, size)
        while channels * h * w > MOST * self.scale:
            channels, h, w = (channels + 1) // 2, (h + 1) // 2, (w + 1) // 2
        return channels, h, w

    def fresh(self, stem: str) -> str:
        """Return a new name; now and then one that ends as those that the compiler adds."""
        suffix = self.one_of(
            ("offset", "mask", "arranged", "copy", "1", "samples", "a", "gathered")
        )
        base = self.one_of(list(self.values)) if self.values and self.chance(0.1) else ""
        name = f"{base}.{suffix}" if base else f"{stem}{len(self.ops)}"
        while name in self.values:
            name += "'"
        return name

    def input(self, kind: TensorType) -> str:
        """Add an input of a type."""
        name = self.fresh("x")
        self.values[name] = kind
        self.ops.append(ir.Input(f"in{len(self.ops)}", name))
        return name

    def source(self) -> str:
        """Return a value to read: often the last, sometimes an older one, rarely a new input."""
        names = list(self.values)
        if not names or self.chance(0.06):
            return self.input(self.kind(self.shape()))
        return str(names[-1] if self.chance(0.6) else self.one_of(names))

    def like(self, kind: TensorType, *, same_type: bool = True) -> str:
        """Return a value of the same shape, and type: one that there is, or a new one."""
        found = [
            v
            for v, t in self.values.items()
            if t.shape == kind.shape and (not same_type or t == kind)
        ]
        if found and self.chance(0.7):
            return str(self.one_of(found))
        alike = [v for v, t in self.values.items() if t.shape == kind.shape]
        if alike and self.chance(0.5):
            return self.add(ir.Rescale, self.one_of(alike), kind)
        return self.input(kind)

    def add(self, op: type[Op], source: str, kind: TensorType, **fields: Any) -> str:
        """Add an operator of one input, with a requantization to ``kind`` where it has one."""
        return self.emit(op, kind, input=source, output=self.fresh("v"), **fields)

    def emit(self, op: type[Op], kind: TensorType, **fields: Any) -> str:
        """Add an operator; give it a requantization that suits its sums, and the output's shape."""
        name = f"layer{len(self.ops)}"
        made = self.settle(op, name, kind, fields)
        shape = made.shape(self.values)
        if min(shape) < 1 or int(np.prod(shape)) > MOST * self.scale:
            raise VerifyError("too small or too large")
        kind = replace(kind, shape=shape)
        (output,) = made.outputs
        types = {**self.values, output: kind}
        if "requantize" in op.__dataclass_fields__:
            made = replace(made, requantize=self.requantize(made, kind, types))  # type: ignore[call-arg]
        check_op(made, types)
        self.values[output] = kind
        self.ops.append(made)
        self.read |= set(made.inputs)
        return output

    def settle(self, op: type[Op], name: str, kind: TensorType, fields: dict[str, Any]) -> Op:
        """Return the operator, its weights made smaller until its sums fit the engine."""
        if "requantize" in op.__dataclass_fields__:
            fields["requantize"] = Requantize((1,), (0,), 0, 0, 0)
        made = op(name=name, **fields)
        if not isinstance(fields.get("weight"), np.ndarray):
            return made
        width = self.config.acc_width if self.chance(0.98) else 32
        while True:
            lows, highs = accumulator_range(made, self.values)
            if max(-int(lows.min()), int(highs.max()) + 1) <= 1 << (width - 1):
                return made
            made = replace(made, weight=made.weight // 2, bias=made.bias // 2)  # type: ignore[attr-defined, call-arg]
            if made.weight.max() <= 0:  # type: ignore[attr-defined]
                made = replace(made, weight=np.zeros_like(made.weight))  # type: ignore[attr-defined, call-arg]
                return made

    def requantize(self, op: Op, kind: TensorType, types: dict[str, TensorType]) -> Requantize:
        """Return any requantization to a type; mostly one with which results differ."""
        channels = kind.shape[0]
        probe = replace(op, requantize=Requantize((1,) * channels, (0,) * channels, 0, 0, 0))  # type: ignore[call-arg]
        lows, highs = accumulator_range(probe, types)
        spread = np.maximum(1, highs - lows)
        width = self.config.multiplier_width if self.chance(0.99) else 31
        if self.chance(0.3):  # powers of two: ties are common
            multiplier = np.ones(channels, np.int64)
        else:
            multiplier = self.rng.integers(1 << (width - 1), 1 << width, channels)
        factor = (kind.qmax - kind.qmin) / spread * 2.0 ** self.rng.uniform(-1, 4, channels)
        shift = np.clip(np.round(np.log2(multiplier / factor)), 0, 63).astype(int)
        if self.chance(0.05):
            multiplier = self.rng.integers(0, 1 << width, channels)
            shift = self.rng.integers(0, 64, channels)
        low, high = kind.qmin, kind.qmax
        if self.chance(0.3):
            low = max(low, min(kind.zero_point, high))
        elif self.chance(0.1):
            low, high = sorted(self.numbers(2, low, high))
        return Requantize(
            tuple(map(int, multiplier)), tuple(map(int, shift)), kind.zero_point, low, high,
            "half_away" if self.config.rounding == "double" and self.chance(0.4)
            else self.config.rounding,
        )  # fmt: skip

    def weight(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return weights of any bits that the engine has, and biases."""
        most = self.config.weight_bits if self.chance(0.99) else 8
        bits = most if self.chance(0.5) else self.number(2, most)
        limit = 1 << (bits - 1)
        weight = self.rng.integers(-limit, limit, shape)
        if len(shape) == 4 and self.chance(0.1):  # whole rows and columns are zero
            weight[:, :, self.rng.random(shape[2]) < 0.5] = 0
            weight[:, :, :, self.rng.random(shape[3]) < 0.5] = 0
        if len(shape) == 4 and self.chance(0.1):  # a few kinds of channels that read some kinds
            kinds = self.number(1, 4)
            of_kernel, of_channel = (self.rng.integers(0, kinds, n) for n in shape[:2])
            reads = self.rng.random((kinds, kinds)) < 0.4
            weight[~reads[of_kernel][:, of_channel]] = 0
        reach = 1 << (6 if self.config.acc_width < 20 else 10)
        return {
            "weight": weight,
            "weight_bits": bits,
            "bias": self.rng.integers(-reach, reach, shape[0]),
        }

    def groups(self, channels: int) -> tuple[int, int, int]:
        """Return groups, channels of each and kernels: dense, depthwise, or any groups."""
        most = 3 * self.config.rows
        match self.one_of(("dense", "dense", "depthwise", "multiplier", "group")):
            case "dense":
                return 1, channels, self.number(1, most if self.chance(0.2) else min(16, most))
            case "depthwise":
                return channels, 1, channels
            case "multiplier":
                return channels, 1, channels * self.number(2, 3)
        group = self.one_of([g for g in range(1, channels + 1) if channels % g == 0])
        return group, channels // group, group * self.number(1, 6)

    def window(self, *, dilate: bool = True) -> dict[str, Any]:
        """Return kernel, stride, padding and dilation of a window, large ones now and then."""
        kernel = self.numbers(2, 1, 3 if self.chance(0.7) else 7)
        if self.chance(0.3):
            kernel = (kernel[0], kernel[0])
        stride = (1, 1) if self.chance(0.6) else self.numbers(2, 1, 4)
        dilation = self.numbers(2, 1, 5) if dilate and self.chance(0.15) else (1, 1)
        padding = self.numbers(4, 0, 3) if self.chance(0.6) else (0, 0, 0, 0)
        if self.chance(0.1):
            padding = tuple(p + self.number(0, 6) for p in padding)
        return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
