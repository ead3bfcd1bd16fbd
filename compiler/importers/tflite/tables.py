"""Functions of one tensor as tables, with the values that the reference kernels have."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.quantized.fixed_point import inverse_root, scaled
from tilewright.compiler.quantized.graph import View

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
_LOW, _HIGH = -(1 << 15), (1 << 15) - 1


def _of_floats(call: Call, function: Callable[[FloatArray], FloatArray]) -> View:
    """Tabulate as kernels that have a table: in float32, rounded half away from zero."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    points = np.arange(-128, 128) - source.zero_point
    with np.errstate(over="ignore"):
        reals = function(np.float32(source.scale) * points.astype(np.float32))
    steps = reals.astype(np.float32) * (np.float32(1) / np.float32(grid.scale))
    away = np.sign(steps) * np.floor(np.abs(steps) + np.float32(0.5))
    return _table(call, away.astype(np.int64))


def _table(call: Call, results: IntArray) -> View:
    """Emit a table of results for the integers -128..127, without zero point or clamping."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    results = np.clip(results, grid.qmin - grid.zero_point, grid.qmax - grid.zero_point)
    values = torch.from_numpy(results * grid.scale)
    return call.quantized(call.builder.table(call.where, call.view(0), source, values), grid)


def logistic(call: Call) -> View:
    """LOGISTIC: 1 / (1 + exp(-x))."""
    one = np.float32(1)
    return _of_floats(call, lambda x: one / (one + np.exp(-x)))


def tanh(call: Call) -> View:
    """TANH."""
    return _of_floats(call, np.tanh)


def exp(call: Call) -> View:
    """EXP."""
    return _of_floats(call, np.exp)


def gelu(call: Call) -> View:
    """GELU, by the error function or by tanh."""
    if call.option("Approximate"):
        return _of_floats(call, _gelu_by_tanh)
    half, root = np.float32(0.5), np.float32(-math.sqrt(0.5))
    erfc = np.vectorize(math.erfc, otypes=[np.float32])
    return _of_floats(call, lambda x: half * x * erfc(x * root))


def _gelu_by_tanh(x: FloatArray) -> FloatArray:
    half, one, cubic = np.float32(0.5), np.float32(1), np.float32(0.044715)
    slope = np.float32(math.sqrt(2 / math.pi))
    return (half * x * (one + np.tanh(slope * (x + cubic * x * x * x)))).astype(np.float32)


def log(call: Call) -> View:
    """LOG; of what is not positive the least there is."""

    def function(x: FloatArray) -> FloatArray:
        return np.where(x > 0, np.log(np.maximum(x, np.float32(1e-30))), np.float32(-1e9))

    return _of_floats(call, function)


def rsqrt(call: Call) -> View:
    """RSQRT: 1 / sqrt(x), by the kernel's iteration; of zero the most there is."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    if source.zero_point != source.qmin:
        call.refuse("RSQRT of what may be negative", "Its kernel stops there; clip with RELU.")
    results = [grid.qmax - grid.zero_point]
    factor = float(np.float32(1 / (math.sqrt(np.float32(source.scale)) * np.float32(grid.scale))))
    wide = np.array([inverse_root(i, 20) for i in range(1, 256)], np.int64)
    results += scaled(wide, factor / (1 << 20)).tolist()
    return _table(call, np.array(results))


def absolute(call: Call) -> View:
    """ABS, scaled where grids differ."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    sizes = np.abs(np.arange(-128, 128, dtype=np.int64) - source.zero_point)
    factor = float(np.float32(source.scale) / np.float32(grid.scale))
    return _table(call, sizes if factor == 1 else scaled(sizes, factor))


def negative(call: Call) -> View:
    """NEG, on one grid around zero: its kernel takes the integers for numbers."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    if source != grid or grid.zero_point:
        call.refuse("NEG on grids with a zero point", "Use 0 - x.")
    points = np.arange(-128, 128, dtype=np.int64)
    return _table(call, np.where(points == -128, -128, -points))


def leaky_relu(call: Call) -> View:
    """LEAKY_RELU: what is negative is scaled."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    factor = np.float32(source.scale) / np.float32(grid.scale)
    below = np.float32(source.scale) * np.float32(call.number("Alpha")) / np.float32(grid.scale)
    return _of_slopes(call, float(factor), float(below), 1)


def prelu(call: Call) -> View:
    """PRELU of one slope: what is negative is scaled."""
    slopes = (
        call.constant(1, "INT8").astype(np.int64) - grid_of(call.where, call.tensor(1)).zero_point
    )
    if len(np.unique(slopes)) != 1:
        call.refuse("a PRELU whose slopes differ", "Use one slope, or LEAKY_RELU.")
    source, own, grid = (
        grid_of(call.where, t) for t in (call.tensor(0), call.tensor(1), call.result)
    )
    above = np.float32(source.scale) / np.float32(grid.scale)
    below = np.float32(source.scale) * np.float32(own.scale) / np.float32(grid.scale)
    return _of_slopes(call, float(above), float(below), int(slopes.reshape(-1)[0]))


def _of_slopes(call: Call, above: float, below: float, slope: int) -> View:
    """Tabulate what is scaled by one factor or another, in the kernels' integers."""
    source = grid_of(call.where, call.tensor(0))
    points = np.arange(-128, 128, dtype=np.int64) - source.zero_point
    low = scaled(points * slope, below) if below > 0 else np.zeros_like(points)
    if below < 0:
        call.refuse("a negative slope", "Use a slope of zero or more.")
    return _table(call, np.where(points >= 0, scaled(points, above), low))


def hard_swish(call: Call) -> View:
    """HARD_SWISH: ``x * relu6(x + 3) / 6``, in the kernel's integers of 16 bits."""
    source, grid = grid_of(call.where, call.tensor(0)), call.grid
    fine = (np.arange(-128, 128) - source.zero_point) << 7
    fine_scale = np.float32(source.scale) * np.float32(1 / 128)
    to_output = float(fine_scale / np.float32(grid.scale))
    factor, exponent = _multiplier(to_output)
    if exponent > 0:
        call.refuse(f"a result {to_output:.3g} times finer", "Convert the file anew.")
    scaled = _high_half(fine, factor)
    gate_factor, gate_exponent = _multiplier(float(fine_scale / np.float32(3 / 32768)))
    gate = fine
    if gate_exponent > 0:
        gate = np.clip(gate << (gate_exponent - 1), _LOW, _HIGH)
    gate = _high_half(gate, gate_factor)
    if gate_exponent > 0:
        gate = np.clip(gate << 1, _LOW, _HIGH)
    gate = (_divided(gate, max(0, -gate_exponent)) + (1 << 15)) >> 1
    product = gate * scaled
    return _table(call, _divided(np.sign(product) * (np.abs(product) >> 15), -exponent))


def _multiplier(factor: float) -> tuple[int, int]:
    """Return 16 bits and an exponent of a factor, from its 32 as the kernel rounds them."""
    mantissa, exponent = math.frexp(factor)
    whole = math.floor(mantissa * (1 << 31) + 0.5)
    if whole == 1 << 31:
        whole, exponent = whole >> 1, exponent + 1
    return (min(whole, (1 << 31) - (1 << 15) - 1) + (1 << 15)) >> 16, exponent


def _high_half(values: IntArray, factor: int) -> IntArray:
    """Return ``values * factor / 2**15``, half up, within 16 bits."""
    result: IntArray = np.clip((values * factor + (1 << 14)) >> 15, _LOW, _HIGH)
    return result


def _divided(values: IntArray, bits: int) -> IntArray:
    """Return ``values / 2**bits``, half away from zero."""
    half = (1 << bits) >> 1
    result: IntArray = np.sign(values) * ((np.abs(values) + half) >> bits)
    return result
