"""A part of a network that the host computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.host.errors import HostError

if TYPE_CHECKING:
    from onnx import ModelProto

Array = npt.NDArray[Any]
MAX_RUN_BYTES = 1 << 29
"""Of memory, that onnxruntime may take for all parts together."""


@dataclass(frozen=True, eq=False)
class HostModel:
    """A model in ONNX with standard operators only.

    Parameters
    ----------
    data : the model; its inputs are floats of one image, (1, ...)

    Raises
    ------
    HostError  If it is no model that is taken.
    """

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert self._model is not None  # which checks it

    @cached_property
    def _model(self) -> ModelProto:
        model: ModelProto = _imported().check_model(self.data)
        return model

    @cached_property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of one image, without the batch."""
        shape = _imported().input_shape
        return tuple(shape(value)[1:] for value in self._model.graph.input)

    @cached_property
    def counts(self) -> tuple[int, int]:
        """How many inputs and results it has."""
        return len(self._model.graph.input), len(self._model.graph.output)

    @cached_property
    def results(self) -> tuple[tuple[str, tuple[int | None, ...] | None], ...]:
        """Element type and shape of each result for one image; None is what depends on values."""
        return tuple(map(_imported().described, self._model.graph.output))

    @cached_property
    def operators(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of each operator."""
        return tuple((str(n.op_type), str(n.name)) for n in self._model.graph.node)

    @cached_property
    def operations(self) -> int:
        """Operations on an image, about; see :func:`tilewright.compiler.host.operations`."""
        from tilewright.compiler.host.operations import operations

        return operations(self._model)

    @cached_property
    def _session(self) -> Any:
        return _session(self.data)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Compute the results for one image.

        Parameters
        ----------
        arrays : one for each input, of its shape in ``input_shapes``

        Raises
        ------
        HostError  If onnxruntime fails, or would take more than ``MAX_RUN_BYTES`` of memory.
        """
        session = self._session
        names = [value.name for value in self._model.graph.input]
        feeds = {
            name: np.ascontiguousarray(array, np.float32)[None]
            for name, array in zip(names, arrays, strict=True)
        }
        try:
            return [np.asarray(result) for result in session.run(None, feeds)]
        except Exception as error:  # of many kinds, all of them about the model
            raise HostError(f"{self}: onnxruntime fails: {_first_line(error)}") from error

    def __str__(self) -> str:
        counts = Counter(kind for kind, _ in self.operators)
        return "host " + ", ".join(f"{n} {k}" if n > 1 else k for k, n in counts.items())


def _imported() -> ModuleType:
    """Import what needs onnx and onnxruntime, which only networks with such parts need."""
    try:
        import onnxruntime  # noqa: F401

        from tilewright.compiler.host import check
    except ImportError as error:
        raise HostError(
            "a part of the network is for the host, which needs onnx and onnxruntime: pip install "
            "'tilewright[onnx]'"
        ) from error
    return check


def _session(data: bytes) -> Any:
    import onnxruntime

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # One thread and no fused operators: the same numbers every time.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise HostError(f"onnxruntime does not take a part: {_first_line(error)}") from error


@cache
def _limit_memory() -> None:
    """Give sessions one allocator, which ends."""
    import onnxruntime as ort

    kind = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    limits = ort.OrtArenaCfg({"max_mem": MAX_RUN_BYTES, "arena_extend_strategy": 1})
    ort.create_and_register_allocator(kind, limits)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
