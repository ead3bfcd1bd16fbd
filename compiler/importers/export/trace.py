"""A float module as a graph of ATen operators."""

from __future__ import annotations

import copy
import operator
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from tilewright.errors import Error, UnsupportedError

BATCH = 2
"""Images that a module is traced with, so that the batch is not taken for a dimension of one."""
_MOST_STEPS = 3


@dataclass(frozen=True, eq=False)
class Trace:
    """A module's operators.

    Parameters
    ----------
    name : the module's class
    graph : torch.fx graph; placeholders are parameters and arguments
    constants : value of each placeholder that is a parameter, a buffer or a constant
    batch : int, images in the shapes that the nodes' metadata tells
    """

    name: str
    graph: fx.Graph
    constants: dict[fx.Node, Tensor]
    batch: int

    def arguments(self) -> list[fx.Node]:
        """Placeholders that the caller provides."""
        return [n for n in self.graph.nodes if n.op == "placeholder" and n not in self.constants]


def own_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode and in float32, whatever the model's type.

    Raises
    ------
    Error  If it is not a module, or cannot be copied.
    """
    if isinstance(model, torch.export.ExportedProgram):
        raise Error(
            "an ExportedProgram is bound to the shapes that it was exported with: pass the module "
            "that it was made from, which is exported here"
        )
    if not isinstance(model, nn.Module):
        raise Error(
            f"the model must be a torch.nn.Module, not {type(model).__name__}: build the network, "
            "load its state_dict, and pass the module itself"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise Error(
            f"{type(model).__name__} is a TorchScript module, which cannot be exported: pass the "
            "module that it was made from"
        )
    try:
        own = copy.deepcopy(model)
    except Exception as error:
        raise Error(
            f"{type(model).__name__} cannot be copied: {_first_line(error)}. Pass a module whose "
            "parameters and buffers are leaves"
        ) from error
    return own.eval().float()


def trace(
    model: nn.Module,
    images: Sequence[Tensor],
    known: Callable[[fx.Node], bool] = bool,
    batches: Sequence[int] = (BATCH, 1),
) -> Trace:
    """Export a module that :func:`own_copy` made, on inputs like ``images`` (N, ...).

    Parameters
    ----------
    known : operators that are left whole; others become what PyTorch makes of them
    batches : numbers of images, of which the first that the module runs with is taken

    Raises
    ------
    UnsupportedError  If its forward method depends on values, or on the number of images.
    """
    name = type(model).__name__
    failure: Exception | None = None
    for batch in batches:
        sample = tuple(torch.cat([x[:1]] * batch).detach().contiguous().clone() for x in images)
        try:
            program = _export(model, sample, known)
            break
        except Exception as error:
            failure = failure or error
    else:
        assert failure is not None
        raise UnsupportedError(name, *_explained(failure)) from failure
    signature, state = program.graph_signature, program.state_dict
    constants: dict[fx.Node, Tensor] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        target = signature.inputs_to_parameters.get(node.name)
        target = target or signature.inputs_to_buffers.get(node.name)
        if target is not None:
            value = state.get(target, program.constants.get(target))
            assert isinstance(value, Tensor)
            constants[node] = value.detach()
        elif node.name in signature.inputs_to_lifted_tensor_constants:
            value = program.constants[signature.inputs_to_lifted_tensor_constants[node.name]]
            assert isinstance(value, Tensor)
            constants[node] = value.detach()
    if signature.buffers_to_mutate:
        changed = min(signature.buffers_to_mutate.values())
        raise UnsupportedError(
            name,
            f"its forward method changes the buffer {changed}",
            "A network must give the same result for an image whatever came before it.",
        )
    return Trace(name, program.graph, constants, batch)


def _export(model: nn.Module, sample: tuple[Tensor, ...], known: Callable[[fx.Node], bool]) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, sample, strict=False)
        if _overwrites(program.graph):
            program = program.run_decompositions({})
        for _ in range(_MOST_STEPS):  # what they become may be unknown in its turn
            unknown = {
                n.target for n in program.graph.nodes if n.op == "call_function" and not known(n)
            }
            table = torch.export.default_decompositions()
            ways = {target: table[target] for target in unknown if target in table}
            if not ways:
                break
            program = program.run_decompositions(ways)
    return program


def _overwrites(graph: fx.Graph) -> bool:
    """Whether an operator overwrites a tensor that has another name, a view."""
    for node in graph.nodes:
        if _mutates(node):
            written = node.args[0]
            views = [n for n in written.users if n is not node and _is_view(n)]
            if views or written.op == "placeholder" or _is_view(written):
                return True
    return False


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def _is_view(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return node.target is operator.getitem
    aliases = any(a.alias_info is not None and not a.alias_info.is_write for a in schema.arguments)
    return aliases or "reshape" in schema.name or "contiguous" in schema.name


def overwritten(node: fx.Node) -> fx.Node | None:
    """Node whose tensor ``node`` overwrites, if it does."""
    return node.args[0] if _mutates(node) else None  # type: ignore[return-value]


def where(node: fx.Node) -> str:
    """Name a node: its module's path, with the operator's name if it is not all of that."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = ("", "")
    if stack:
        path, kind = stack[-1][0], str(stack[-1][1])
    path = re.sub(r"@\d+", "", path)
    leaf = kind.startswith("torch.nn.modules") and "container" not in kind
    if leaf and path:
        return path
    label = re.sub(r"_\d+$", "", node.name)
    return f"{path}.{label}" if path else label


def _explained(error: Exception) -> tuple[str, str]:
    reason = _first_line(error)
    text = str(error)
    kinds = ("data-dependent", "Could not guard", "DataDependent")
    if any(kind in f"{type(error).__name__} {text}" for kind in kinds):
        return (
            f"its forward method depends on values of tensors: {reason}",
            "Make control flow independent of tensor values.",
        )
    return (
        f"torch.export cannot trace its forward method: {reason}",
        "Make it run on a batch of any size, with tensor operations only.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
