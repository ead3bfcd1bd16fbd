"""How the results of a model, in its own shapes, lie in the outputs of the integer graph."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.ops import IntArray

_MAX_ELEMENTS = 1 << 24


@dataclass(frozen=True, eq=False)
class ResultView:
    """A result of the model: elements of outputs of the graph.

    Parameters
    ----------
    sources : places among the graph's outputs; all on one grid
    shape : of one image, as the model has it
    index : of that shape, the place of each element in the sources, flattened one after another,
        or -1 for zero; None: all elements of the one source, in order
    """

    sources: tuple[int, ...]
    shape: tuple[int, ...]
    index: IntArray | None = None

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        index = None
        if self.index is not None:
            data = zlib.compress(self.index.astype("<i4").tobytes(), 9)
            index = base64.b64encode(data).decode()
        return {"sources": list(self.sources), "shape": list(self.shape), "index": index}

    @classmethod
    def from_text(
        cls, sources: tuple[int, ...], shape: tuple[int, ...], text: str | None
    ) -> ResultView:
        """Return the view whose :meth:`to_dict` has these entries.

        Raises
        ------
        ValueError, zlib.error  If the index is damaged.
        """
        if math.prod(shape) > _MAX_ELEMENTS:
            raise ValueError(f"{math.prod(shape)} elements")
        index = None
        if text is not None:
            raw = base64.b64decode(text, validate=True)
            data = zlib.decompressobj().decompress(raw, 4 * math.prod(shape) + 1)
            index = np.frombuffer(data, "<i4").astype(np.int64).reshape(shape)
        return cls(sources, shape, index)

    def of(self, outputs: Sequence[IntArray], zero_point: int) -> IntArray:
        """(N, *shape) from the graph's outputs (N, C, H, W)."""
        arrays = [outputs[i].reshape(len(outputs[i]), -1) for i in self.sources]
        if self.index is None:
            return arrays[0].reshape(-1, *self.shape)
        flat = np.concatenate(arrays, axis=1)
        zeros = np.full((len(flat), 1), zero_point, flat.dtype)
        return np.concatenate([flat, zeros], axis=1)[:, self.index]
