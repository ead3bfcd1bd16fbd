"""One grid for tensors that are added or concatenated.

With operands on one grid, of one sign, a residual addition is an addition of bytes.
"""

from __future__ import annotations

import operator
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from brevitas.graph.quantize_impl import ADD_FNS, ADD_METHODS, PRECISION_PRESERVING_MODULES
from brevitas.graph.utils import set_module
from torch import nn

from tilewright.compiler.frontend.remedies import remedy_for
from tilewright.errors import UnsupportedError
from tilewright.quantization.quantizers import Quantizers

_KEEPING = (torch.flatten, torch.reshape, F.interpolate, F.pixel_shuffle, F.pixel_unshuffle)
_KEEPING_METHODS = ("view", "reshape", "flatten", "contiguous", "chunk", "split")
_KEEPING_MODULES = (*PRECISION_PRESERVING_MODULES, nn.Upsample, nn.ChannelShuffle)
_FORGETTING = (operator.getitem, F.channel_shuffle)


def align(model: GraphModule, quantizers: Quantizers) -> None:
    """Make the operands of every addition and concatenation share one quantizer.

    So do what is selected from a tensor and the tensor itself. A tensor that several such operators
    read connects all of their operands. The shared grid is signed if one of them is; a ReLU then
    uses only its upper half.
    """
    groups = _Groups()
    for node in model.graph.nodes:
        if joins(node):
            first, *others = (str(source(model, x).target) for x in node.all_input_nodes)
            for other in others:
                groups.join(first, other)
        elif node.op == "call_module" and node.all_input_nodes:
            origin = node.all_input_nodes[0]
            if forgets(model, origin):
                groups.join(str(source(model, origin).target), str(node.target))
    for names in groups.members():
        _share(model, names, quantizers)


class _Groups:
    """Disjoint sets of quantizer names."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            name = self.parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        self.parent[self.find(b)] = self.find(a)

    def members(self) -> list[list[str]]:
        sets: dict[str, list[str]] = {}
        for name in self.parent:
            sets.setdefault(self.find(name), []).append(name)
        return list(sets.values())


def adds(node: fx.Node) -> bool:
    """Whether ``node`` adds."""
    if node.op == "call_function":
        return node.target in ADD_FNS
    return node.op == "call_method" and node.target in ADD_METHODS


def multiplies(node: fx.Node) -> bool:
    """Whether ``node`` is a product of two tensors."""
    function = node.op == "call_function" and node.target in (operator.mul, torch.mul)
    method = node.op == "call_method" and node.target in ("mul", "__mul__")
    return (function or method) and len(node.all_input_nodes) == 2


def joins(node: fx.Node) -> bool:
    """Whether ``node`` adds or concatenates."""
    return adds(node) or (node.op == "call_function" and node.target is torch.cat)


def forgets(model: GraphModule, node: fx.Node) -> bool:
    """Whether ``node`` keeps the grid of its input but returns a plain tensor."""
    if node.op == "call_module":
        return type(model.get_submodule(str(node.target))) is nn.ChannelShuffle
    return node.op == "call_function" and node.target in _FORGETTING


def source(model: GraphModule, node: fx.Node) -> fx.Node:
    """Find the quantizer whose grid ``node`` is on.

    Raises
    ------
    UnsupportedError  If something between them does not keep the grid.
    """
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        if hasattr(module, "act_quant"):
            return node
        if isinstance(module, _KEEPING_MODULES):
            return source(model, node.all_input_nodes[0])
    functions = (*_KEEPING, *_FORGETTING, torch.cat, torch.chunk, torch.split)
    keeps = node.op == "call_function" and node.target in functions
    if keeps or (node.op == "call_method" and node.target in _KEEPING_METHODS):
        return source(model, node.all_input_nodes[0])
    label = getattr(node.target, "__name__", str(node.target))
    raise UnsupportedError(node.name, f"{label} cannot be quantized", remedy_for(label))


def _share(model: GraphModule, names: list[str], quantizers: Quantizers) -> None:
    modules: list[Any] = [model.get_submodule(name) for name in names]
    signed = any(m.act_quant.is_signed for m in modules)
    shared = quantizers.identity(signed=signed)
    core = shared.act_quant.fused_activation_quant_proxy.tensor_quant
    for name, module in zip(names, modules, strict=True):
        if isinstance(module, qnn.QuantIdentity):
            set_module(model, shared, name)
        else:
            injector = module.act_quant.quant_injector.let(signed=signed, tensor_quant=core)
            set_module(model, type(module)(act_quant=injector, return_quant_tensor=True), name)
