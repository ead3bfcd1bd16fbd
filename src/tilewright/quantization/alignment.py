"""One grid for tensors that are added or concatenated.

With operands on one grid, of one sign, a residual addition is an addition of bytes.
"""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from brevitas.graph.quantize_impl import ADD_FNS, ADD_METHODS, PRECISION_PRESERVING_MODULES
from brevitas.graph.utils import set_module

from tilewright.compiler.frontend.remedies import remedy_for
from tilewright.errors import UnsupportedError
from tilewright.quantization.quantizers import Quantizers

_VIEWS = (torch.flatten, torch.reshape)
_VIEW_METHODS = ("view", "reshape", "flatten", "contiguous")


def align(model: GraphModule, quantizers: Quantizers) -> None:
    """Make the operands of every addition and concatenation share one quantizer.

    A tensor that several such operators read connects all of their operands. The shared grid is
    signed if one of them is; a ReLU then uses only its upper half.
    """
    groups = _Groups()
    for node in model.graph.nodes:
        if joins(node):
            first, *others = (str(source(model, x).target) for x in node.all_input_nodes)
            for other in others:
                groups.join(first, other)
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


def joins(node: fx.Node) -> bool:
    """Whether ``node`` adds or concatenates."""
    if node.op == "call_function":
        return node.target in (*ADD_FNS, torch.cat)
    return node.op == "call_method" and node.target in ADD_METHODS


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
        if isinstance(module, PRECISION_PRESERVING_MODULES):
            return source(model, node.all_input_nodes[0])
    views = node.op == "call_function" and node.target in _VIEWS
    if views or (node.op == "call_method" and node.target in _VIEW_METHODS):
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
