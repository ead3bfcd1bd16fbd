"""Traces a float model and prepares it for quantization."""

from __future__ import annotations

import copy
import operator
import warnings
from typing import Any

import torch
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from brevitas.graph.quantize import preprocess_for_quantize
from torch import nn

from tilewright.compiler.frontend.functions import IN_PLACE
from tilewright.compiler.frontend.modules import ELEMENTWISE
from tilewright.compiler.frontend.remedies import remedy_for
from tilewright.errors import UnsupportedError
from tilewright.nn import DeformConv2d, DeformConv2dPack

_TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_QUANTIZABLE = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.Linear,
    nn.ReLU,
    nn.ReLU6,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Upsample,
    nn.UpsamplingNearest2d,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.ChannelShuffle,
    *ELEMENTWISE,
)


def float_graph(model: nn.Module) -> GraphModule:
    """Trace a copy of ``model``, fold its batch norms, and check that the rest can be quantized.

    Functions become modules where there are such, and layers that do nothing disappear.

    Raises
    ------
    UnsupportedError  Naming the module that cannot be quantized, or the model if it cannot be
    traced.
    """
    for name, module in model.named_modules():
        if isinstance(module, DeformConv2d | DeformConv2dPack):
            kind = type(module).__name__
            raise UnsupportedError(
                name or kind,
                "a deformable convolution is quantized in training, not after it",
                f"Build the network with tilewright.nn.Quant{kind}, which loads this module's "
                "parameters, train it on, and compile it.",
            )
    own = copy.deepcopy(model).eval()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)  # Brevitas' own tracer
            graph: GraphModule = preprocess_for_quantize(own, trace_model=True, relu6_to_relu=False)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UnsupportedError(
            type(model).__name__,
            f"its forward method cannot be traced: {reason}",
            "Make control flow independent of tensor values and call layers as modules.",
        ) from error
    _simplify(graph)
    read: set[fx.Node] = set()
    for node in reversed(graph.graph.nodes):
        module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        if module is not None:
            _check(str(node.target), module)
        if node.target is operator.getitem and not isinstance(node.args[1], int):
            raise UnsupportedError(
                node.name,
                f"the index {node.args[1]} cannot be quantized",
                "Use torch.split or torch.chunk over dim=1 to select channels.",
            )
        in_place = getattr(module, "inplace", False) or node.target in IN_PLACE
        if in_place and node.all_input_nodes[0] in read:
            raise UnsupportedError(
                node.name,
                "an in-place operation on a tensor that is read again later",
                "Use the out-of-place form (x = x + y, inplace=False).",
            )
        read.update(node.all_input_nodes)
    return graph


def _simplify(model: GraphModule) -> None:
    """Drop what does nothing; flatten and split by functions, which take quantized tensors."""
    for node in list(model.graph.nodes):
        if node.op == "call_method" and node.target in ("chunk", "split"):
            node.op, node.target = "call_function", getattr(torch, str(node.target))
        if node.op != "call_module":
            continue
        module: Any = model.get_submodule(str(node.target))
        if isinstance(module, _TRANSPARENT):
            node.replace_all_uses_with(node.args[0])
            model.graph.erase_node(node)
        elif type(module) is nn.Flatten:
            with model.graph.inserting_before(node):
                flat = model.graph.call_function(
                    torch.flatten, (node.args[0], module.start_dim, module.end_dim)
                )
            node.replace_all_uses_with(flat)
            model.graph.erase_node(node)
    model.graph.lint()
    model.recompile()


def _check(where: str, module: nn.Module) -> None:
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        raise UnsupportedError(
            where,
            "batch norm that does not directly follow a convolution or linear layer of its own",
            "Move it behind a convolution whose output nothing else reads.",
        )
    if type(module) not in _QUANTIZABLE:
        raise UnsupportedError(
            where, f"{type(module).__name__} cannot be quantized", remedy_for(module)
        )
