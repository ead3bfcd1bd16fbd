"""ATen operators that the host computes: kept as they are, and exported as models of their own."""

from __future__ import annotations

import contextlib
import io
import logging
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from tilewright.compiler.host import HostError, HostModel
from tilewright.compiler.importers.export.call import name_of
from tilewright.compiler.importers.export.trace import Trace
from tilewright.compiler.importers.hosted import Hosted, Region
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.errors import Error, UnsupportedError

_TOLERANCE = 1e-4
#: What the engine is for: these bring a tensor back to it.
_OF_THE_ENGINE = ("conv", "linear", "addmm", "batch_norm", "deform_conv2d")
#: What goes to the host first; what follows may be anything that is no layer.
OF_THE_HOST = frozenset(
    """
    argmax argmin argsort bmm cdist cummax cummin cumprod cumsum einsum embedding eq gather ge
    grid_sampler grid_sampler_2d group_norm gt index index_select instance_norm kthvalue layer_norm
    le linalg_vector_norm log_softmax logsumexp lt masked_fill matmul median native_group_norm
    native_layer_norm ne nonzero one_hot scaled_dot_product_attention scatter softmax _softmax
    _log_softmax sort topk where
    """.split()
)
_SIZED = ("view", "reshape", "expand", "_unsafe_view")
"""Operators whose second argument begins with the batch."""


class Hosting(Region):
    """Values on the host, by node of a trace, and models cut out of what computes them."""

    def __init__(self, builder: Builder, traced: Trace, values: Mapping[fx.Node, Any]) -> None:
        super().__init__(builder)
        self.traced, self.values = traced, values
        self.nodes: dict[str, fx.Node] = {}

    def stays(self, node: fx.Node) -> bool:
        """Whether a node goes on with what is on the host."""
        read = [self.values[n] for n in node.all_input_nodes]
        if not any(_holds(v, Hosted) for v in read):
            return False
        if node.target is operator.getitem:
            return True
        name = name_of(node.target).rpartition(".")[2]
        if name.startswith(_OF_THE_ENGINE):
            return False
        if name == "matmul":
            return not isinstance(read[-1], Tensor)
        return not any(_holds(v, View) for v in read)

    def add(
        self, node: fx.Node, reason: UnsupportedError | None = None, *, allowed: bool = False
    ) -> Any:
        """Keep a node for the host; returns its value.

        Parameters
        ----------
        reason : why the engine does not compute it; None of what reads what is on the host
        allowed : whatever it is, it may be the first one there

        Raises
        ------
        UnsupportedError  ``reason``, if it is nothing for the host either.
        """
        hosted = [v for n in node.all_input_nodes for v in _flat(self.values[n]) if v is not None]
        inner = [v.reason for v in hosted if isinstance(v, Hosted)]
        reason = inner[0] if inner else reason
        assert reason is not None
        name = name_of(node.target).rpartition(".")[2]
        first = not inner and not allowed and name not in OF_THE_HOST
        if first or name.startswith(_OF_THE_ENGINE) or not _holds_input(node, self.values):
            raise reason
        if node.target is operator.getitem:
            value = self.values[node.all_input_nodes[0]]
            if isinstance(value, list):
                return value[node.args[1]]  # type: ignore[index]
        self.nodes[node.name] = node
        result = node.meta.get("val")
        if isinstance(result, list | tuple):
            # Each is read by a getitem, of which the node is made when it is cut.
            return [self._value(f"{node.name}[{i}]", x, reason) for i, x in enumerate(result)]
        if not isinstance(result, Tensor) or not self._keeps_images(result):
            raise reason
        return self._value(node.name, result, reason)

    def _keeps_images(self, x: Tensor) -> bool:
        """Whether a result has the images as its first dimension, or a shape of its values."""
        known = all(isinstance(n, int) for n in x.shape)
        return not known or (x.ndim > 0 and x.shape[0] == self.traced.batch)

    def _value(self, name: str, x: Any, reason: UnsupportedError) -> Hosted | None:
        if not isinstance(x, Tensor):
            return None
        known = all(isinstance(n, int) for n in x.shape)
        batched = known and x.ndim > 0 and x.shape[0] == self.traced.batch
        dims = (1, *x.shape[1:]) if batched else None
        return Hosted(name, dims, x.dtype, x.dtype == torch.float32, reason)

    def cut(self, names: Sequence[str]) -> tuple[HostModel, list[View]]:
        """Return a model that computes values from tensors of the engine, and these."""
        graph = fx.Graph()
        module = nn.Module()
        views: list[View] = []
        made: dict[fx.Node, fx.Node] = {}

        def visit(node: fx.Node) -> fx.Node:
            if node in made:
                return made[node]
            value = self.values.get(node)
            if isinstance(value, View):
                made[node] = graph.placeholder(f"in{len(views)}")
                views.append(value)
            elif isinstance(value, Tensor):
                own = value[:1] if value.ndim and value.shape[0] == self.traced.batch else value
                module.register_buffer(f"c{len(made)}", own.detach().clone())
                made[node] = graph.get_attr(f"c{len(made)}")
            else:
                made[node] = graph.node_copy(node, visit)
                _unbatch(made[node], self.traced.batch)
            return made[node]

        results = []
        for name in names:
            stem, bracket, place = name.partition("[")
            node = visit(self.nodes[stem])
            if bracket:
                node = graph.call_function(operator.getitem, (node, int(place[:-1])))
            results.append(node)
        for placeholder in [n for n in graph.nodes if n.op == "placeholder"][::-1]:
            first = next(iter(graph.nodes))
            if placeholder is not first:
                first.prepend(placeholder)
        graph.output(tuple(results))
        part = fx.GraphModule(module, graph)
        examples = tuple(torch.randn(1, *view.shape) for view in views)
        return _exported(part, examples), views


def _unbatch(node: fx.Node, batch: int) -> None:
    """Make sizes that name the batch those of one image."""
    name = name_of(node.target).rpartition(".")[2]
    if name in _SIZED and len(node.args) > 1:
        sizes = node.args[1]
        if isinstance(sizes, list | tuple) and sizes and sizes[0] == batch:
            node.args = (node.args[0], [1, *sizes[1:]], *node.args[2:])


def _exported(part: fx.GraphModule, examples: tuple[Tensor, ...]) -> HostModel:
    """Export a module, and check that the model gives its results.

    Raises
    ------
    HostError  If it cannot be.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise Error(
            "a part of the network is for the host, which needs onnxscript: pip install "
            "'tilewright[onnx]', or quantize with host=\"never\""
        ) from error
    with _quiet(), torch.no_grad():
        wanted = [x.numpy() for x in part(*examples)]
        try:
            program = torch.onnx.export(part, examples, dynamo=True, verbose=False)
            assert program is not None
            model = HostModel(program.model_proto.SerializeToString())
            have = model.run([x[0].numpy() for x in examples])
        except HostError:
            raise
        except Exception as error:  # of many kinds, all of them about an operator
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise HostError(f"torch.onnx does not export a part: {reason}") from error
    for a, b in zip(wanted, have, strict=True):
        if a.shape != b.shape or not np.allclose(a, b, _TOLERANCE, _TOLERANCE):
            raise HostError("a part exported to ONNX gives other values")
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter from printing what it does."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _flat(value: Any) -> list[Any]:
    return [v for x in value for v in _flat(x)] if isinstance(value, list | tuple) else [value]


def _holds(value: Any, kind: type) -> bool:
    return any(isinstance(v, kind) for v in _flat(value))


def _holds_input(node: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    """Whether all that a node reads is a tensor, on the engine, the host, or constant."""
    read = [v for n in node.all_input_nodes for v in _flat(values[n])]
    return bool(read) and all(isinstance(v, View | Hosted | Tensor | None) for v in read)
