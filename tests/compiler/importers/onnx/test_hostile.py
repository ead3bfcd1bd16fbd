"""Files that somebody made to do harm: one line, little memory, nothing read outside the folder."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tilewright as tw
from tests.compiler.importers.onnx.build import save
from tests.peak import Peak
from tilewright.compiler.host.wire import MAX_DEPTH, check_size

GIB = 1 << 30
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def conv(folder, **options):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    return save(folder, nodes, options.pop("shape", (3, 8, 8)), {"w": WEIGHT}, **options)


def changed(folder, change):
    """Write a model after ``change``."""
    path = conv(folder)
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def cycle(model):
    model.graph.node[0].input[0] = "z"
    model.graph.node.append(helper.make_node("Relu", ["y"], ["z"], name="relu"))


def itself(model):
    model.graph.node[0].input[0] = "y"


def no_initializer(model):
    del model.graph.initializer[:]


def declared(*dims, kind=TensorProto.FLOAT):
    def change(model):
        tensor = TensorProto(name="w", dims=dims, data_type=kind, raw_data=b"\0" * 8)
        model.graph.initializer[0].CopyFrom(tensor)

    return change


def external(location, **entries):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def written_twice(model):
    model.graph.node.append(helper.make_node("Relu", ["x"], ["y"], name="relu"))


def endless_function(model):
    call = helper.make_node("F", ["x"], ["z"], domain="own")
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["z"], [call], opset))
    model.graph.node[0].CopyFrom(helper.make_node("F", ["x"], ["y"], domain="own", name="f"))


def doubling_functions(model):
    """Call functions that call the next twice, 40 deep."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for depth in range(15):
        calls = [
            helper.make_node(f"F{depth + 1}", ["x"], [name], domain="own") for name in "abcdefgh"
        ]
        made = helper.make_function("own", f"F{depth}", ["x"], ["h"], calls, opset)
        model.functions.append(made)
    model.graph.node[0].CopyFrom(helper.make_node("F0", ["x"], ["y"], domain="own", name="f"))


def grown(kind, *numbers):
    """Make constants grow, and the weights depend on them."""

    def change(model):
        shape = numpy_helper.from_array(np.array(numbers, np.int64), "n")
        model.graph.initializer.append(shape)
        inputs = ["n"] if kind == "ConstantOfShape" else ["w", "n"]
        model.graph.node.insert(0, helper.make_node(kind, inputs, ["v"], name="grown"))
        model.graph.node[1].input[1] = "v"

    return change


def huge_pads(model):
    model.graph.node[0].attribute.extend([helper.make_attribute("pads", [1 << 40] * 4)])


def many_dimensions(model):
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[1].dim_value = 1 << 62


def negative_shape(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -8


def no_type(model):
    model.graph.input[0].ClearField("type")


def subgraph(model):
    body = helper.make_graph([], "body", [], [])
    node = helper.make_node("If", ["x"], ["y"], name="if", then_branch=body, else_branch=body)
    model.graph.node[0].CopyFrom(node)


HOSTILE = {
    "a cycle": (cycle, "conv: Conv reads 'z', which is written behind it, or in a cycle"),
    "a node that reads itself": (itself, "conv: Conv reads 'y'"),
    "no initializer": (no_initializer, "conv: Conv reads 'w', which is written by nothing"),
    "a negative dimension": (declared(-4, 3, 3, 3), r"'w' has the shape \(-4, 3, 3, 3\)"),
    "2 GiB declared": (declared(512, 1024, 1024), "at most 16777216 elements"),
    "more than 64 bits": (declared(1 << 62, 1 << 62), "at most 16777216 elements"),
    "fewer bytes than declared": (declared(4, 3, 3, 3), "has 8 bytes, and needs 432"),
    "strings as weights": (declared(1, kind=TensorProto.STRING), "'w' is of string"),
    "a type of the future": (declared(1, kind=99), "'w' is of type 99"),
    "outside, relative": (external("../secret"), "outside the model's folder"),
    "outside, absolute": (external("/etc/passwd"), "outside the model's folder"),
    "outside, by a link": (external("link"), "outside the model's folder"),
    "no location": (external(""), "outside the model's folder"),
    "a folder": (external("."), "outside the model's folder"),
    "a pipe": (external("pipe"), "not a regular file"),
    "no such file": (external("none"), "No such file"),
    "too short": (external("short"), "432 bytes from byte 0 of 'short', which has 3"),
    "a negative offset": (external("short", offset=-5), "from byte -5"),
    "an offset that is none": (external("short", offset="x"), "invalid literal"),
    "a length of its own": (external("short", length=1), "has 1 bytes, and needs 432"),
    "written twice": (written_twice, "relu: Relu writes 'y' a second time"),
    "a function that calls itself": (endless_function, "the function F calls itself"),
    "functions that double": (doubling_functions, "more than 20000 operators"),
    "ConstantOfShape": (grown("ConstantOfShape", 1 << 20, 1 << 20), "grown: ConstantOfShape"),
    "Expand": (grown("Expand", 1 << 15, 1 << 15, 3, 3), "grown: Expand of constants"),
    "Tile": (grown("Tile", 1 << 20, 1 << 20, 1, 1), "grown: Tile of constants"),
    "huge pads": (huge_pads, "conv: Conv"),
    "a huge input": (many_dimensions, "x: an input of the shape"),
    "a negative input": (negative_shape, "x: an input of the shape"),
    "an input without a type": (no_type, "x: an input of"),
    "a graph within": (subgraph, "if: If has no way to the engine"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_is_one_line_and_takes_little_memory(case, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(432))
    (folder / "short").write_bytes(b"abc")
    (folder / "link").symlink_to("../secret")
    os.mkfifo(folder / "pipe")
    change, text = HOSTILE[case]
    path = changed(folder, change)
    peak = Peak()
    with pytest.raises(tw.Error, match=text) as caught:
        tw.read_onnx(path)
    assert peak.bytes() < GIB
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def varint(n):
    result = b""
    while n > 127:
        result, n = result + bytes([n & 127 | 128]), n >> 7
    return result + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested(depth):
    """Graphs in attributes of nodes of graphs."""
    data = b""
    for _ in range(depth):
        data = field(1, field(5, field(6, data)))  # graph.node.attribute.g
    return field(7, data)


BOMBS = {
    "empty nodes": field(7, field(1, b"") * (4 << 20)),
    "numbers of one byte": field(7, field(5, field(7, b"\1" * (100 << 20)))),
    "names": field(7, field(1, field(1, b"") * (4 << 20))),
    "nested": nested(2000),
    "cut off": field(7, b"abc")[:-1],
    "noise": bytes(range(256)),
    "nothing": b"",
    "a page": b"<html><body>Not found</body></html>",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_is_refused_before_it_is_parsed(bomb, tmp_path):
    path = tmp_path / "bomb.onnx"
    path.write_bytes(BOMBS[bomb])
    peak = Peak()
    with pytest.raises(tw.Error, match=r"bomb.onnx") as caught:
        tw.read_onnx(path)
    assert peak.bytes() < GIB
    assert "\n" not in str(caught.value)


def test_depth_is_counted_by_the_description():
    check_size(nested((MAX_DEPTH - 2) // 3), onnx.ModelProto.DESCRIPTOR)
    with pytest.raises(tw.Error, match=f"more than {MAX_DEPTH} deep"):
        check_size(nested(MAX_DEPTH // 3 + 1), onnx.ModelProto.DESCRIPTOR)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_files_are_refused_or_read(seed, tmp_path):
    rng = np.random.default_rng(seed)
    path = conv(tmp_path)
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        data[place] = rng.integers(0, 256)
    path.write_bytes(bytes(data[: len(data) if rng.random() < 0.7 else rng.integers(len(data))]))
    message = ""
    try:
        tw.read_onnx(path)
    except tw.Error as error:
        message = str(error)
    assert "\n" not in message, f"seed {seed}"


def test_reads_external_data_beside_the_model(tmp_path):
    path = conv(tmp_path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= WEIGHT.nbytes
    network = tw.read_onnx(path)
    assert network.graph.ops[0].weight.shape == WEIGHT.shape
