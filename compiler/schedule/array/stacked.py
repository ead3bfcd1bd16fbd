"""Stages of several images at once, whose rows lie one behind the other.

So rows of different images share words of results: of four maps of 7 x 7, a pass of 16 pixels
computes 13 times what it computed 16 times. Weights are those of one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.area import Area
from tilewright.compiler.schedule.array.reduction import Largest, Sum
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.windows import JoinedWindows, Windows

#: Rows of an image that a command counts, where rows are those of several.
_MOST_ROWS = (1 << 13) - 1


def stacked(stage: Stage, images: int) -> Stage | None:
    """Return a stage of so many images, one behind the other; None if commands cannot say it."""
    (op, *others) = stage.ops
    windows, result = op.windows, op.result
    height, own = windows.type.shape[1], result.type.shape[1]
    if (
        others
        or type(windows) not in (Windows, JoinedWindows)
        or windows.band is not None
        or windows.wide
        or result.wide
        or (result.step, result.offset, result.most) != ((1, 1), (0, 0), None)
        or type(op.reduction) not in (Sum, Largest)
        or op.from_memory
        or max(height, own * windows.stride[0] + windows.padding[0]) > _MOST_ROWS
    ):
        return None
    tall = replace(result, type=_tall(result.type, images))
    return Stage((replace(op, windows=replace(windows, images=images, own=own), result=tall),))


def _tall(kind: TensorType, images: int) -> TensorType:
    channels, height, width = kind.shape
    return replace(kind, shape=(channels, images * height, width))


def of_images(area: Area, height: int) -> Iterator[tuple[int, Area]]:
    """Yield which rows of each image some rows are: the image's number, from 0, and its rows."""
    start = area.start
    while start < area.stop:
        image, row = divmod(start, height)
        count = min(area.stop - start, height - row)
        yield image, area._replace(start=row, stop=row + count)
        start += count


def stored_parts(
    groups: Block, area: Area, height: int
) -> Iterator[tuple[Block, int, Area, int, int]]:
    """Yield what stores move of an area that lies in the output buffer, group by group.

    As kernel groups, the image's number and its rows, and the kernel groups and rows before them.
    In the buffer a group's rows of all images follow one another, in memory those of an image do.
    """
    images = list(of_images(area, height))
    if len(images) == 1:
        yield groups, *images[0], 0, 0
        return
    for before, kg in enumerate(groups.kernel_groups):
        rows = 0
        for image, part in images:
            yield Block(kg, 1), image, part, before, rows
            rows += part.rows
