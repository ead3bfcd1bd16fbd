"""Operators that move elements."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import IndexArray


def same_grid(call: Call, *places: int) -> None:
    """Refuse operands on another grid than the result, which kernels do not convert."""
    for place in places:
        if grid_of(call.where, call.tensor(place)) != call.grid:
            call.refuse(
                f"{call.op.kind} from one grid to another",
                "Convert the file anew; TFLite's converter gives both one scale and zero point.",
            )


def reshape(call: Call) -> View:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the same elements in another shape."""
    same_grid(call, 0)
    view, shape = call.view(0), call.result.shape
    if not shape or shape[0] != 1 or math.prod(shape) != math.prod(view.shape):
        call.refuse(f"a shape of {shape} for {(1, *view.shape)}", "The batch stays, and is one.")
    return call.builder.reshaped(view, shape[1:])


def concatenation(call: Call) -> View:
    """CONCATENATION: tensors one behind the other along an axis."""
    same_grid(call, *range(len(call.op.inputs)))
    views = [call.view(place) for place in range(len(call.op.inputs))]
    rank = len(views[0].shape) + 1
    axis = call.option("Axis") % rank
    if axis == 0:
        call.refuse("a concatenation of batches", "Concatenate along another axis.")
    ends = {(v.shape[: axis - 1], v.shape[axis:]) for v in views}
    if len({len(v.shape) for v in views}) > 1 or len(ends) > 1:
        call.refuse(f"a concatenation of {[v.shape for v in views]}", "Other axes are alike.")
    y = call.builder.move(views, lambda places: np.concatenate(places, axis - 1))
    return y if call.activated() == call.grid else call.quantized(y)


def pad(call: Call) -> View:
    """PAD, PADV2: the zero point around a tensor."""
    same_grid(call, 0)
    if call.has(2) and int(call.constant(2, "INT8").reshape(-1)[0]) != call.grid.zero_point:
        return _padded_with(call, call.map(2, (1,)))
    return _padded(call, "constant")


def mirror_pad(call: Call) -> View:
    """MIRROR_PAD: a tensor's own elements around it, with or without those at its ends."""
    same_grid(call, 0)
    return _padded(call, "symmetric" if call.option("Mode") else "reflect")


def _padded_with(call: Call, value: View) -> View:
    """Pad with a constant, which is a tensor of its own."""
    pairs = _ends(call)
    return call.builder.move(
        [call.view(0), value],
        lambda places: np.pad(places[0], pairs, constant_values=places[1].item()),
    )


def _padded(call: Call, mode: str) -> View:
    view, pairs = call.view(0), _ends(call)
    if mode != "constant":
        return call.builder.move([view], lambda places: np.pad(places[0], pairs, mode=mode))  # type: ignore[call-overload]
    return call.builder.move([view], lambda places: np.pad(places[0], pairs, constant_values=-1))


def _ends(call: Call) -> list[tuple[int, int]]:
    """Return how many elements are added before and behind each axis."""
    view = call.view(0)
    ends = call.constant(1, "INT32", "INT64")
    if ends.shape != (len(view.shape) + 1, 2) or ends.min() < 0 or ends[0].any():
        call.refuse(f"padding {ends.tolist()} of {(1, *view.shape)}", "It is zero or more.")
    if ends.max() > 1 << 12:
        call.refuse(f"padding {ends.tolist()}", "It is at most 4096.")
    return [(int(a), int(b)) for a, b in ends[1:]]


def slice_(call: Call) -> View:
    """SLICE: elements from a place on, so many of them, all with -1."""
    same_grid(call, 0)
    begins, sizes = (_whole(call, place) for place in (1, 2))
    ends = [n if m == -1 else b + m for b, m, n in zip(begins, sizes, _full(call), strict=True)]
    return _taken(call, [slice(b, e) for b, e in zip(begins, ends, strict=True)])


def strided_slice(call: Call) -> View:
    """STRIDED_SLICE: elements of every axis from a place to another, in steps."""
    same_grid(call, 0)
    begins, ends, steps = (_whole(call, place) for place in (1, 2, 3))
    masks = {name: call.option(name) for name in ("BeginMask", "EndMask", "ShrinkAxisMask")}
    if call.option("EllipsisMask") or call.option("NewAxisMask") or 0 in steps:
        call.refuse("a STRIDED_SLICE with new axes or an ellipsis", "Give each axis its ends.")
    index: list[slice | int] = []
    for i, (b, e, step) in enumerate(zip(begins, ends, steps, strict=True)):
        first = None if masks["BeginMask"] >> i & 1 else b
        last = None if masks["EndMask"] >> i & 1 else e
        index.append(b if masks["ShrinkAxisMask"] >> i & 1 else slice(first, last, step))
    return _taken(call, index)


def _taken(call: Call, index: list[slice | int]) -> View:
    """Return elements of an operand; of the first axis, the batch, all."""
    full = _full(call)
    whole = bool(index) and isinstance(index[0], slice) and index[0].indices(1) == (0, 1, 1)
    if not whole or len(index) > len(full):
        call.refuse(f"{call.op.kind} of the batch", "Take all of the first axis.")
    y = call.builder.move([call.view(0)], lambda places: places[0][tuple(index[1:])])
    if y.shape != call.broadcast():
        call.refuse(f"{call.op.kind} that gives {y.shape}", "The file is damaged.")
    return y


def _full(call: Call) -> tuple[int, ...]:
    return (1, *call.view(0).shape)


def _whole(call: Call, place: int) -> list[int]:
    return [int(n) for n in call.constant(place, "INT32", "INT64").reshape(-1)]


def split(call: Call) -> list[View]:
    """SPLIT: equal parts along an axis."""
    axis = _axis(call, _whole(call, 0)[0], len(call.view(1).shape) + 1)
    count = len(call.op.outputs)
    if call.view(1).shape[axis] % count:
        call.refuse(f"{count} equal parts of {call.view(1).shape[axis]}", "Use SPLIT_V.")
    return _parts(call, 1, axis, [call.view(1).shape[axis] // count] * count)


def split_v(call: Call) -> list[View]:
    """SPLIT_V: parts of given sizes along an axis."""
    axis = _axis(call, _whole(call, 2)[0], len(call.view(0).shape) + 1)
    sizes, n = _whole(call, 1), call.view(0).shape[axis]
    rest = n - sum(m for m in sizes if m != -1)
    return _parts(call, 0, axis, [rest if m == -1 else m for m in sizes])


def unpack(call: Call) -> list[View]:
    """UNPACK: one place of an axis each, which goes."""
    axis = _axis(call, call.option("Axis"), len(call.view(0).shape) + 1)
    parts = _parts(call, 0, axis, [1] * call.view(0).shape[axis])
    shape = tuple(n for i, n in enumerate(call.view(0).shape) if i != axis)
    return [call.builder.reshaped(part, shape) for part in parts]


def _parts(call: Call, place: int, axis: int, sizes: list[int]) -> list[View]:
    view, own = call.view(place), grid_of(call.where, call.tensor(place))
    wrong = sum(sizes) != view.shape[axis] or min(sizes) < 1 or len(sizes) != len(call.op.outputs)
    if wrong or any(grid_of(call.where, call.file.tensors[i]) != own for i in call.op.outputs):
        call.refuse(f"parts {sizes} of {view.shape}, or on other grids", "Convert the file anew.")
    ends = np.cumsum([0, *sizes]).tolist()
    return [call.builder.taken(view, range(first, last), axis) for first, last in pairwise(ends)]


def pack(call: Call) -> View:
    """PACK: tensors side by side along a new axis."""
    same_grid(call, *range(len(call.op.inputs)))
    views = [call.view(place) for place in range(len(call.op.inputs))]
    axis = _axis(call, call.option("Axis"), len(views[0].shape) + 2)
    if len({v.shape for v in views}) > 1:
        call.refuse(f"{call.op.kind} of {[v.shape for v in views]}", "Give all one shape.")
    return call.builder.move(views, lambda places: np.stack(places, axis))


def _axis(call: Call, axis: int, rank: int) -> int:
    """Return an axis without the batch, of ``rank`` with it."""
    if not -rank <= axis < rank or axis % rank == 0:
        call.refuse(f"{call.op.kind} along axis {axis} of {rank}", "Take one behind the batch.")
    return axis % rank - 1


def gather(call: Call) -> View:
    """GATHER: places of an axis, which are constant."""
    same_grid(call, 0)
    view = call.view(0)
    axis, places = _axis(call, call.option("Axis"), len(view.shape) + 1), _whole(call, 1)
    if call.option("BatchDims") or not all(0 <= p < view.shape[axis] for p in places):
        call.refuse(f"GATHER of {places[:8]} of {view.shape[axis]}", "Take places inside.")
    y = call.builder.taken(view, places, axis)
    return call.builder.reshaped(y, call.broadcast())


def tile(call: Call) -> View:
    """TILE: a tensor several times along each axis."""
    same_grid(call, 0)
    times, shape = _whole(call, 1), call.broadcast()
    if times[0] != 1 or [n * m for n, m in zip(_full(call), times, strict=True)] != [1, *shape]:
        call.refuse(f"TILE by {times}", "Leave the batch alone.")
    return call.builder.move([call.view(0)], lambda places: np.tile(places[0], times[1:]))


def broadcast_to(call: Call) -> View:
    """BROADCAST_TO: a tensor in a larger shape."""
    same_grid(call, 0)
    return call.map(0, call.broadcast())


def space_to_batch(call: Call) -> View:
    """SPACE_TO_BATCH_ND: pads; blocks of pixels are a dilation of the convolution behind it."""
    same_grid(call, 0)
    view, block, ends = call.view(0), _pair_of(call, 1), call.constant(2, "INT32", "INT64")
    if len(view.shape) != 3 or ends.shape != (2, 2) or not 0 <= ends.min() <= ends.max() <= 4096:
        call.refuse(f"padding {ends.tolist()} of {(1, *view.shape)}", "It is of rows and columns.")
    pairs = [(int(a), int(b)) for a, b in ends]
    sizes = [n + sum(p) for n, p in zip(view.shape, pairs, strict=False)]
    if any(n % b for n, b in zip(sizes, block, strict=True)):
        call.refuse(f"blocks of {block} in {tuple(sizes)} pixels", "One divides the other.")
    call.blocks[call.op.outputs[0]] = block
    return call.builder.move(
        [view], lambda places: np.pad(places[0], [*pairs, (0, 0)], constant_values=-1)
    )


def batch_to_space(call: Call) -> View:
    """BATCH_TO_SPACE_ND: cuts off rows and columns."""
    same_grid(call, 0)
    view, block, ends = call.view(0), _pair_of(call, 1), call.constant(2, "INT32", "INT64")
    if call.blocks.get(call.op.inputs[0]) != block:
        call.refuse(
            f"blocks of {block} that no SPACE_TO_BATCH_ND has taken apart",
            "Both operators belong around a convolution.",
        )
    if ends.shape != (2, 2) or ends.min() < 0:
        call.refuse(f"a cut of {ends.tolist()}", "It is of rows and columns.")
    first, last = (tuple(int(n) for n in ends[:, i]) for i in (0, 1))
    rows, columns = (slice(a, n - b) for a, b, n in zip(first, last, view.shape, strict=False))
    y = call.builder.move([view], lambda places: places[0][rows, columns])
    if y.shape != call.broadcast():
        call.refuse(f"{call.op.kind} that gives {y.shape}", "The file is damaged.")
    return y


def _pair_of(call: Call, place: int) -> tuple[int, int]:
    """Return a block of rows and columns."""
    block = _whole(call, place)
    if len(block) != 2 or not 1 <= min(block) <= max(block) <= 256:
        call.refuse(f"{call.op.kind} with blocks of {block}", "They are of rows and columns.")
    return block[0], block[1]


def resize_nearest(call: Call) -> View:
    """RESIZE_NEAREST_NEIGHBOR: whole factors, of pixels as areas."""
    same_grid(call, 0)
    x, shape = call.channels_first(), call.result.shape
    if len(shape) != 4 or call.option("AlignCorners"):
        call.refuse("nearest pixels with corners aligned", "Resize with align_corners=False.")
    factors = [n // m for n, m in zip(shape[1:3], x.shape[1:], strict=True)]
    if [m * f for m, f in zip(x.shape[1:], factors, strict=True)] != list(shape[1:3]):
        call.refuse(f"nearest pixels of {x.shape[1:]} for {shape[1:3]}", "Resize by whole factors.")

    def repeated(places: list[IndexArray]) -> IndexArray:
        return places[0].repeat(factors[0], 1).repeat(factors[1], 2)

    return call.channels_last(call.builder.move([x], repeated))


def _block(call: Call, size: int) -> int:
    block = call.option("BlockSize")
    if block < 1 or size % block:
        call.refuse(f"a block of {block} in {size}", "It divides rows, columns or channels.")
    return block


def space_to_depth(call: Call) -> View:
    """SPACE_TO_DEPTH: pixels of a block become channels."""
    same_grid(call, 0)
    x = call.channels_first()
    channels, rows, columns = x.shape
    n = _block(call, math.gcd(rows, columns))

    def places(index: list[IndexArray]) -> IndexArray:
        apart = index[0].reshape(channels, rows // n, n, columns // n, n)
        return apart.transpose(2, 4, 0, 1, 3).reshape(-1, rows // n, columns // n)

    return call.channels_last(call.builder.move([x], places))


def depth_to_space(call: Call) -> View:
    """DEPTH_TO_SPACE: channels become pixels of a block."""
    same_grid(call, 0)
    x = call.channels_first()
    channels, rows, columns = x.shape
    n = _block(call, channels)
    if channels % (n * n):
        call.refuse(f"a block of {n} in {channels} channels", "Its square divides channels.")

    def places(index: list[IndexArray]) -> IndexArray:
        apart = index[0].reshape(n, n, channels // (n * n), rows, columns)
        return apart.transpose(2, 3, 0, 4, 1).reshape(-1, rows * n, columns * n)

    return call.channels_last(call.builder.move([x], places))
