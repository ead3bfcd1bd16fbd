"""A compiled network: commands, constants, and how to talk to them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Graph, parse_graph, print_graph, quantize_input, reference
from tilewright.compiler.schedule import (
    GroupView,
    RoundingError,
)
from tilewright.errors import Error
from tilewright.isa import ISA_VERSION, Command, EngineConfig, Unit, decode
from tilewright.isa.layout import FeatureMapLayout
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

FORMAT = "tilewright-program"
_MEMBERS = ("graph.txt", "memory.bin")


class ProgramError(Error):
    """A program file is damaged or not one, or inputs do not fit the program."""


@dataclass(frozen=True)
class LayerInfo:
    """A layer of the network, as reports show it."""

    name: str
    kind: str
    macs: int


@dataclass(frozen=True, eq=False)
class Program:
    """A network compiled for one engine.

    Parameters
    ----------
    target : Target
    graph : Graph
        The integer graph that the program computes, bit for bit; layers with rounded kernels are
        operators of their own.
    image : uint8 array
        Memory from the base register on: constants, room for feature maps, commands.
    streams : per unit, byte address and number of commands
    boot_count : int
        Load commands in the first fetch (the COUNT register).
    addresses : per input and output value, its feature map's byte address
    orders : per input and output value, the channel in each place of its channel groups
    pixels : of inputs of few channels, the bytes of a pixel in memory
    layers : LayerInfo of each layer; commands refer to them by index
    schedule : how the layers run, group by group
    rounded_biases : module path and error in output LSB of each bias that batch norm left off the
        accumulator's grid
    """

    target: Target
    graph: Graph
    image: NDArray[np.uint8]
    streams: dict[Unit, tuple[int, int]]
    boot_count: int
    addresses: dict[str, int]
    orders: dict[str, tuple[int, ...]]
    pixels: dict[str, int]
    layers: tuple[LayerInfo, ...]
    schedule: tuple[GroupView, ...]
    rounded_biases: tuple[tuple[str, float], ...] = ()

    @property
    def engine(self) -> EngineConfig:
        """The engine that the program runs on."""
        return self.target.engine

    def commands(self, unit: Unit) -> list[Command]:
        """Return a unit's commands, decoded from memory."""
        address, count = self.streams[unit]
        size = self.engine.command_bytes(unit)
        data = self.image[address : address + count * size].tobytes()
        return [decode(unit, data[i : i + size]) for i in range(0, len(data), size)]

    @property
    def rounded_layers(self) -> dict[str, RoundingError]:
        """What rounded kernels change, by the name of each layer that has them."""
        return {
            layer.name: layer.rounding
            for group in self.schedule
            for layer in group.layers
            if layer.rounding is not None
        }

    def _layout(self, value: str) -> FeatureMapLayout:
        shape = self.graph.values[value].shape
        return FeatureMapLayout(
            self.engine, *shape, order=self.orders[value], pixel=self.pixels.get(value, 0)
        )

    def random_image(self) -> list[NDArray[np.int64]]:
        """Return one random image, always the same: an array (1, C, H, W) per input."""
        rng = np.random.default_rng(0)
        kinds = [self.graph.values[op.output] for op in self.graph.inputs]
        return [rng.integers(k.qmin, k.qmax + 1, (1, *k.shape)) for k in kinds]

    def quantize(self, inputs: Any) -> list[NDArray[np.int64]]:
        """Return inputs as (N, C, H, W) integers, one array per input of the model.

        Floats are quantized as the model's input quantizer does it; integers must already be on
        its grid.

        Raises
        ------
        ProgramError
            If number, shape, type or range do not fit.
        """
        given = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
        wanted = self.graph.inputs
        if len(given) != len(wanted):
            raise ProgramError(f"the program takes {len(wanted)} inputs, not {len(given)}")
        arrays: list[NDArray[np.int64]] = []
        for item, op in zip(given, wanted, strict=True):
            kind = self.graph.values[op.output]
            torch = sys.modules.get("torch")  # slow to import, and needed by nobody without tensors
            if torch is not None and isinstance(item, torch.Tensor):
                item = item.detach().cpu().numpy()
            array = np.asarray(item)
            if np.issubdtype(array.dtype, np.floating):
                array = quantize_input(kind, array)
            elif not np.issubdtype(array.dtype, np.integer):
                raise ProgramError(f"input {op.name} must be floats or integers, not {array.dtype}")
            channels, height, width = kind.shape
            line = height == 1 and array.shape[1:] == (channels, width)
            if line and array.shape != kind.shape:
                array = array[:, :, None]  # sequences: images of one row
            elif array.ndim == 3:
                array = array[None]
            if array.ndim != 4 or array.shape[1:] != kind.shape or not len(array):
                raise ProgramError(
                    f"input {op.name} must have shape (N, {', '.join(map(str, kind.shape))}), "
                    f"not {array.shape}"
                )
            if array.min() < kind.qmin or array.max() > kind.qmax:
                raise ProgramError(
                    f"input {op.name} must be in {kind.qmin}..{kind.qmax}, not "
                    f"{array.min()}..{array.max()}"
                )
            arrays.append(array.astype(np.int64))
        if len({len(array) for array in arrays}) > 1:
            raise ProgramError("all inputs must have the same number of images")
        return arrays

    def memory(self, image: list[NDArray[np.int64]]) -> NDArray[np.uint8]:
        """Return memory with one image's (C, H, W) inputs in place."""
        memory = self.image.copy()
        for op, tensor in zip(self.graph.inputs, image, strict=True):
            layout, address = self._layout(op.output), self.addresses[op.output]
            memory[address : address + layout.size_bytes] = layout.pack(tensor)
        return memory

    def outputs(self, memory: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
        """Return the (C, H, W) outputs that lie in memory after a run."""
        results = []
        for op in self.graph.outputs:
            layout, address = self._layout(op.input), self.addresses[op.input]
            data = memory[address : address + layout.size_bytes]
            results.append(layout.unpack(data, signed=self.graph.values[op.input].signed))
        return results

    def reference(self, inputs: Any) -> list[NDArray[np.int64]]:
        """Run the integer graph in NumPy; one (N, C, H, W) array per output."""
        arrays = self.quantize(inputs)
        per_image = []
        for index in range(len(arrays[0])):
            values = reference.run(self.graph, [array[index] for array in arrays])
            per_image.append([values[op.input] for op in self.graph.outputs])
        return [np.stack(column) for column in zip(*per_image, strict=True)]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the program to one file; an interrupted write leaves no file behind."""
        members = {
            "graph.txt": print_graph(self.graph).encode(),
            "memory.bin": self.image.tobytes(),
        }
        manifest = {
            "format": FORMAT,
            "isa_version": ISA_VERSION,
            "engine": asdict(self.engine),
            "memory_timing": asdict(self.target.memory),
            "clock_mhz": self.target.clock_mhz,
            "board": self.target.board,
            "streams": {unit.name.lower(): list(self.streams[unit]) for unit in Unit},
            "boot_count": self.boot_count,
            "addresses": self.addresses,
            "orders": self.orders,
            "pixels": self.pixels,
            "layers": [asdict(layer) for layer in self.layers],
            "schedule": [asdict(group) for group in self.schedule],
            "rounded_biases": [list(entry) for entry in self.rounded_biases],
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        }
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with (
                os.fdopen(handle, "wb") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            ):
                archive.writestr("manifest.json", json.dumps(manifest, indent=1))
                for name, data in members.items():
                    archive.writestr(name, data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read a program file.

        Raises
        ------
        ProgramError
            If the file is not a program, is damaged, or is for another ISA version.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                manifest = json.loads(archive.read("manifest.json"))
                if manifest.get("format") != FORMAT:
                    raise ProgramError(f"{path} is not a Tilewright program")
                if manifest["isa_version"] != ISA_VERSION:
                    raise ProgramError(
                        f"{path} is for ISA version {manifest['isa_version']}, this is "
                        f"{ISA_VERSION}: compile the network again"
                    )
                members = {name: archive.read(name) for name in _MEMBERS}
            for name, data in members.items():
                if hashlib.sha256(data).hexdigest() != manifest["sha256"][name]:
                    raise ProgramError(f"{path} is damaged: the checksum of {name} is wrong")
            return cls(
                target=Target(
                    engine=EngineConfig.from_json(json.dumps(manifest["engine"])),
                    memory=MemoryTiming(**manifest["memory_timing"]),
                    clock_mhz=manifest["clock_mhz"],
                    board=manifest["board"],
                ),
                graph=parse_graph(members["graph.txt"].decode()),
                image=np.frombuffer(members["memory.bin"], np.uint8),
                streams={unit: tuple(manifest["streams"][unit.name.lower()]) for unit in Unit},
                boot_count=manifest["boot_count"],
                addresses=manifest["addresses"],
                orders={value: tuple(order) for value, order in manifest["orders"].items()},
                pixels=dict(manifest["pixels"]),
                layers=tuple(LayerInfo(**layer) for layer in manifest["layers"]),
                schedule=tuple(map(GroupView.from_dict, manifest["schedule"])),
                rounded_biases=tuple((n, e) for n, e in manifest["rounded_biases"]),
            )
        except FileNotFoundError as error:
            raise ProgramError(f"there is no file {path}") from error
        except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
            raise ProgramError(
                f"{path} is not a Tilewright program, or damaged: {error}"
            ) from error
