"""Replaces layers by quantized ones and puts a quantizer behind everything that computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from brevitas import config
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from brevitas.graph.base import ModuleInstanceToModuleInstance, ModuleToModuleByInstance
from torch import nn

from tilewright.compiler.frontend import functions, modules
from tilewright.quantization.alignment import (
    adds,
    align,
    forgets,
    joins,
    multiplies,
    source,
)
from tilewright.quantization.calibration import Batch
from tilewright.quantization.quantizers import Quantizers

_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_NONNEGATIVE = (nn.Sigmoid, nn.Hardsigmoid, nn.Softplus)
_NONNEGATIVE_FUNCTIONS = (torch.sigmoid, F.sigmoid, F.hardsigmoid, F.softplus)


def insert_quantizers(model: GraphModule, quantizers: Quantizers, batches: Sequence[Batch]) -> None:
    """Turn a float graph into one of Brevitas layers, with scales yet to be calibrated.

    A tensor is unsigned where it cannot be negative; an input, where it never is in ``batches``. A
    tensor that something else than one activation function reads has a quantizer of its own, so
    that nothing is computed twice. Factors of channels are signed: the engine multiplies by at most
    127.
    """
    factors = _factors(model, batches[0])
    lenient, config.IGNORE_MISSING_KEYS = config.IGNORE_MISSING_KEYS, True
    try:
        _replace_activations(model, quantizers)
        inputs = 0
        for node in list(model.graph.nodes):
            if node.op == "placeholder" and inputs < len(batches[0]):
                signed = any(bool((batch[inputs] < 0).any()) for batch in batches)
                _quantize(model, node, f"{node.name}_quant", quantizers, signed)
                inputs += 1
            elif _computes(model, node, quantizers) and not _only_activations(model, node):
                signed = node in factors or not _nonnegative(model, node)
                _quantize(model, node, f"{node.name}_output_quant", quantizers, signed)
            elif forgets(model, node):
                signed = not _nonnegative(model, node)
                _quantize(model, node, f"{node.name}_same_quant", quantizers, signed)
        align(model, quantizers)
        _replace_layers(model, quantizers)
    finally:
        config.IGNORE_MISSING_KEYS = lenient
    # Callers get plain tensors.
    output = next(n for n in model.graph.nodes if n.op == "output")
    for node in output.all_input_nodes:
        if node.op == "call_module" and set(node.users) == {output}:
            model.get_submodule(str(node.target)).return_quant_tensor = False
    model.graph.lint()
    model.recompile()
    model.eval()


class _Shapes(fx.Interpreter):  # type: ignore[misc]
    """Runs a graph and keeps the shapes of tensors."""

    def __init__(self, model: GraphModule) -> None:
        super().__init__(model)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.shapes[n] = tuple(result.shape)
        return result


def _factors(model: GraphModule, batch: Batch) -> set[fx.Node]:
    """Return what multiplies whole channels."""
    products = [node for node in model.graph.nodes if multiplies(node)]
    if not products:
        return set()
    recorder = _Shapes(model)
    with torch.no_grad():
        recorder.run(*(x[:1] for x in batch))
    shapes = recorder.shapes
    return {
        x
        for node in products
        for x in node.all_input_nodes
        if shapes[x] != shapes[node] and set(shapes[x][2:]) == {1}
    }


def _module(model: GraphModule, node: fx.Node) -> Any:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _replace_activations(model: GraphModule, quantizers: Quantizers) -> None:
    for node in model.graph.nodes:
        module = _module(model, node)
        if type(module) in quantizers.activations:
            quantized = quantizers.activations[type(module)](**quantizers.activation(signed=False))
            ModuleInstanceToModuleInstance(module, quantized).apply(model)


def _replace_layers(model: GraphModule, quantizers: Quantizers) -> None:
    for node in model.graph.nodes:
        module = _module(model, node)
        if type(module) in quantizers.layers:
            replacement = quantizers.layers[type(module)]
            keywords = quantizers.weighted(module)
            ModuleToModuleByInstance(module, replacement, **keywords).apply(model)


def _computes(model: GraphModule, node: fx.Node, quantizers: Quantizers) -> bool:
    """Whether the values of ``node`` are on no grid of their own."""
    kinds = (*quantizers.layers, *_POOLS, *modules.ELEMENTWISE)
    return (
        adds(node)
        or multiplies(node)
        or node.target in functions.ELEMENTWISE
        or isinstance(_module(model, node), kinds)
    )


def _only_activations(model: GraphModule, node: fx.Node) -> bool:
    return all(hasattr(_module(model, user), "act_quant") for user in node.users)


def _nonnegative(model: GraphModule, node: fx.Node) -> bool:
    if isinstance(_module(model, node), _NONNEGATIVE) or node.target in _NONNEGATIVE_FUNCTIONS:
        return True
    if multiplies(node):
        origins = [source(model, x) for x in node.all_input_nodes]
        return all(
            not _module(model, x).act_quant.is_signed or _nonnegative(model, x.all_input_nodes[0])
            for x in origins
        )
    if joins(node) or forgets(model, node) or isinstance(_module(model, node), _POOLS):
        quantized = [_module(model, source(model, x)) for x in node.all_input_nodes]
        return all(not m.act_quant.is_signed for m in quantized)
    return False


def _quantize(
    model: GraphModule, node: fx.Node, name: str, quantizers: Quantizers, signed: bool
) -> None:
    model.add_module(name, quantizers.identity(signed=signed))
    with model.graph.inserting_after(node):
        quantizer = model.graph.call_module(name, (node,))
    for user in list(node.users):
        if user is not quantizer:
            user.replace_input_with(node, quantizer)
