"""Records what a model does: its torch.fx graph and the shape of every tensor in it.

Brevitas layers are opaque to the tracer, because their bodies branch on data. One run of the graph
in float64 then gives the shapes.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.nn.mixin import QuantWeightMixin
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, fx, nn

from tilewright.errors import UnsupportedError
from tilewright.nn import DeformConv2d


@dataclass(frozen=True)
class Trace:
    """A recorded model.

    Parameters
    ----------
    model : float64 copy of the model
    nodes : the fx graph, in execution order
    results : what each node returned for the example inputs, tensors by their shape
    metadata : (scale, zero point) of every node that returned a QuantTensor
    """

    model: nn.Module
    nodes: tuple[fx.Node, ...]
    results: dict[fx.Node, Any]
    metadata: dict[fx.Node, tuple[float, float]]

    def where(self, node: fx.Node) -> str:
        """Name a node: the module it calls, else the enclosing module and the node itself."""
        if node.op == "call_module":
            return str(node.target)
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        return f"{stack[-1]}.{node.name}" if stack and stack[-1] else node.name


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        brevitas = type(m).__module__.startswith("brevitas.")
        return (
            brevitas
            or isinstance(m, QuantWeightMixin | QuantNonLinearActLayer | DeformConv2d)
            or super().is_leaf_module(m, module_qualified_name)
        )


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the shapes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[fx.Node, Any] = {}
        self.metadata: dict[fx.Node, tuple[float, float]] = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except UnsupportedError:
            raise
        except Exception as error:
            raise UnsupportedError(
                str(n.target) if n.op == "call_module" else n.name,
                f"the model does not run on the example inputs: {_first_line(error)}",
                "Check the shape of the example inputs and that every layer that returns a "
                "QuantTensor receives one.",
            ) from error
        if isinstance(result, QuantTensor):
            self.results[n] = tuple(result.shape)
            scale = getattr(result, "scale", None)
            if scale is not None and scale.numel() == 1:
                self.metadata[n] = (float(scale.item()), float(result.zero_point.flatten()[0]))
        else:
            self.results[n] = tuple(result.shape) if isinstance(result, Tensor) else result
        return result


def float64_copy(model: nn.Module) -> nn.Module:
    """Copy ``model`` with float64 parameters and buffers."""
    return copy.deepcopy(model).double()


def record(model: nn.Module, example_inputs: Tensor | tuple[Tensor, ...]) -> Trace:
    """Trace a model in evaluation mode.

    Raises
    ------
    UnsupportedError  For training mode, data-dependent control flow, or example inputs that do
    not fit.
    """
    name = type(model).__name__
    training = [path or name for path, m in model.named_modules() if m.training]
    if training:
        raise UnsupportedError(training[0], "training mode", "Call model.eval() first.")
    examples = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    for i, example in enumerate(examples):
        if not isinstance(example, Tensor) or example.ndim not in (2, 3, 4) or not example.numel():
            shape = tuple(example.shape) if isinstance(example, Tensor) else type(example).__name__
            raise UnsupportedError(
                name,
                f"example input {i} is {shape}",
                "Pass tensors of shape (N, C, H, W), (N, C, L) for a model of sequences, or (N, F) "
                "for one of linear layers.",
            )
    double = float64_copy(model)
    try:
        graph = _Tracer().trace(double)
    except Exception as error:
        raise UnsupportedError(
            name,
            f"its forward method cannot be traced: {_first_line(error)}",
            "Make control flow independent of tensor values and call layers as modules.",
        ) from error
    recorder = _Recorder(fx.GraphModule(double, graph))
    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    required = [n for n in placeholders if not n.args]
    if not len(required) <= len(examples) <= len(placeholders):
        raise UnsupportedError(
            name,
            f"{len(examples)} example inputs for {len(placeholders)} arguments",
            "Pass a tuple with one tensor per argument of forward.",
        )
    with torch.no_grad():
        recorder.run(*(e.detach().double() for e in examples))
    return Trace(double, tuple(graph.nodes), recorder.results, recorder.metadata)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
