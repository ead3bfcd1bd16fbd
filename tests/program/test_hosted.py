"""Programs with parts for the host are data as well: whatever their models say, one line."""

import hashlib
import json
import random
import time
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import tilewright as tw
from tests.compiler.importers.onnx.build import save
from tests.peak import Peak
from tilewright.compiler.host import HostError, HostModel

SEED = 5


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A program of a layer, a softmax, a layer and another softmax."""
    folder = tmp_path_factory.mktemp("hosted")
    rng = np.random.default_rng(SEED)
    w = {name: rng.normal(size=(3, 3)).astype(np.float32) for name in ("v", "w")}
    nodes = [
        helper.make_node("Gemm", ["x", "v"], ["a"], name="first"),
        helper.make_node("Softmax", ["a"], ["b"], name="middle", axis=1),
        helper.make_node("Gemm", ["b", "w"], ["c"], name="second"),
        helper.make_node("Softmax", ["c"], ["y"], name="last", axis=1),
    ]
    x = [torch.from_numpy(rng.normal(size=(16, 3)).astype(np.float32))]
    network = tw.quantize(save(folder, nodes, (3,), w), x, host="anywhere")
    program = tw.compile(
        network, None, tw.Target(engine=tw.EngineConfig(rows=2, cols=2)), host="anywhere"
    )
    return program.save(folder / "net.tw")


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(folder, members, sign=True):
    """Write a program file, with checksums that are right."""
    manifest = json.loads(members["manifest.json"])
    if sign:
        for i, part in enumerate(manifest["parts"]):
            kind = "tw" if part["kind"] == "engine" else "onnx"
            part["sha256"] = hashlib.sha256(members[f"part-{i}.{kind}"]).hexdigest()
        manifest["tail"]["sha256"] = hashlib.sha256(members["tail.onnx"]).hexdigest()
    members = {**members, "manifest.json": json.dumps(manifest, indent=1).encode()}
    with zipfile.ZipFile(folder / "forged.tw", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return folder / "forged.tw"


def model(nodes, shape=(1, 3), inits=(), opset=17):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], list(inits),
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def external(**entries):
    tensor = TensorProto(name="k", dims=[1, 3], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return model([helper.make_node("Add", ["x", "k"], ["y"])], inits=[tensor])


def node(kind, *inputs, **attributes):
    return model([helper.make_node(kind, ["x", *inputs], ["y"], **attributes)])


BRANCH = helper.make_graph([], "b", [], [])
HUGE = TensorProto(name="k", dims=[1 << 20, 1 << 20], data_type=TensorProto.FLOAT)
FORGED = {
    "outside": (external(location="/etc/passwd"), "outside the file"),
    "another domain": (node("Softmax", domain="com.example"), "operator com.example.Softmax"),
    "a loop": (node("Loop", body=BRANCH), "operator .Loop"),
    "a graph": (node("Softmax", then_branch=BRANCH), "attribute 'then_branch'"),
    "random numbers": (node("RandomNormalLike"), "operator .RandomNormalLike"),
    "a huge tensor": (model([helper.make_node("Add", ["x", "k"], ["y"])], inits=[HUGE]), "shape"),
    "a huge input": (model([helper.make_node("Relu", ["x"], ["y"])], (1, 1 << 30)), "input of"),
    "a cycle": (model([helper.make_node("Relu", ["z"], ["y"])]), "not written before"),
    "another opset": (model([helper.make_node("Relu", ["x"], ["y"])], opset=99), "operators of"),
    "another shape": (model([helper.make_node("Relu", ["x"], ["y"])], (1, 4)), "reads|fit"),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("member", ["part-1.onnx", "tail.onnx"])
def test_models_that_were_forged_are_refused(path, tmp_path, member, what):
    forged, message = FORGED[what]
    data = forged.SerializeToString()
    bad = packed(tmp_path, {**members_of(path), member: data})
    peak, start = Peak(), time.monotonic()
    with pytest.raises(tw.Error, match=message) as caught:
        tw.load(bad)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert time.monotonic() - start < 5
    assert peak.bytes() < 300 << 20


def test_a_model_that_grows_when_it_runs_ends_at_the_limit():
    shape = numpy_helper.from_array(np.array([60000, 60000]), "k")
    nodes = [
        helper.make_node("Expand", ["x", "k"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["y"], keepdims=0),
    ]
    grown = HostModel(model(nodes, (1, 1), [shape]).SerializeToString())
    peak = Peak()
    with pytest.raises(HostError, match="onnxruntime fails"):
        grown.run([np.ones((1,), np.float32)])
    assert peak.bytes() < 1 << 30


def test_only_errors_for_bad_files(path, tmp_path):
    generator, members = random.Random(SEED), members_of(path)
    good = path.read_bytes()
    for trial in range(60):
        if trial % 2:
            data = bytearray(good)
            for _ in range(generator.randint(1, 4)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            (tmp_path / "forged.tw").write_bytes(data)
        else:
            name = generator.choice(list(members))
            data = bytearray(members[name])
            data[generator.randrange(len(data))] = generator.randrange(256)
            forged = {**members, name: bytes(data)}
            try:
                packed(tmp_path, forged)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the manifest is no JSON any more
        try:
            tw.simulate(tw.load(tmp_path / "forged.tw"), np.zeros((1, 3)), backend="golden")
        except tw.Error:
            continue


def test_wrong_parts_are_named(path, tmp_path):
    members = members_of(path)
    manifest = json.loads(members["manifest.json"])

    def refused(match, **changes):
        other = {**manifest, **changes}
        with pytest.raises(tw.Error, match=match):
            tw.load(packed(tmp_path, {**members, "manifest.json": json.dumps(other).encode()}))

    parts = manifest["parts"]
    refused("reads .'nowhere'", parts=[{**parts[0], "reads": ["nowhere"]}, *parts[1:]])
    refused("tensor 'x'", parts=[{**parts[0], "writes": ["x"]}, *parts[1:]])
    refused("names for 1 results", parts=[{**parts[0], "writes": ["p", "q"]}, *parts[1:]])
    refused("does not fit", tail={**manifest["tail"], "results": [7]})
    refused("ISA version", isa_version=1)
    with pytest.raises(tw.Error, match="checksum"):
        tw.load(packed(tmp_path, {**members, "tail.onnx": b"x"}, sign=False))
    assert onnx.load_from_string(members["tail.onnx"]).graph.node[0].name == "last"
