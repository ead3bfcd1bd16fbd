"""What goes wrong in the middle of a run, and in a program's file."""

import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import tilewright as tw
from tests.compiler.timing import timing
from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tilewright.api.verify import DivergenceError, compare_outputs
from tilewright.compiler.codegen import assemble
from tilewright.compiler.schedule import EngineLimitError
from tilewright.errors import Error
from tilewright.isa import Unit
from tilewright.isa.registers import Status
from tilewright.program import ProgramError
from tilewright.sim.errors import ExecutionError
from tilewright.sim.rtl import RtlEngine

ENGINE = ENGINES["4x4-bus64"]


@pytest.fixture(scope="module")
def program_and_inputs():
    graph, inputs = random_layer(np.random.default_rng(2), ENGINE)
    return tw.compile_graph(graph, tw.Target(engine=ENGINE)), inputs


@pytest.fixture(scope="module")
def rtl():
    return RtlEngine(ENGINE)


def run(session, program, memory, **options):
    return session.run(
        memory,
        0,
        program.streams[Unit.LOAD][0],
        program.boot_count,
        program.target.memory,
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), [("read", "READ_ERROR"), ("write", "WRITE_ERROR")])
def test_bus_error_stops_the_engine_and_a_reset_recovers_it(program_and_inputs, rtl, kind, status):
    program, inputs = program_and_inputs
    value = (program.graph.inputs[0] if kind == "read" else program.graph.outputs[0]).name
    op = next(op for op in program.graph.ops if op.name == value)
    address = program.addresses[(op.outputs or op.inputs)[0]]
    with rtl.session() as session:
        memory = program.memory([array[:1] for array in inputs])
        failed = run(session, program, memory, error_address=address, error_on=kind)
        assert failed.status is Status[status]
        assert failed.unit is (Unit.LOAD if kind == "read" else Unit.STORE)
        # The same engine, after a soft reset, runs the program as if nothing had been.
        memory = program.memory([array[:1] for array in inputs])
        assert run(session, program, memory).status is Status.DONE
        expected = [array[:1] for array in program.reference(inputs)]
        for want, have in zip(expected, program.outputs(memory), strict=True):
            np.testing.assert_array_equal(want, have)


@pytest.mark.slow
def test_random_stalls_change_nothing_but_time(program_and_inputs, rtl):
    program, inputs = program_and_inputs
    expected = [array[:1] for array in program.reference(inputs)]
    for seed in range(5):
        memory = program.memory([array[:1] for array in inputs])
        with rtl.session() as session:
            assert run(session, program, memory, random_seed=seed).status is Status.DONE
        for want, have in zip(expected, program.outputs(memory), strict=True):
            np.testing.assert_array_equal(want, have, err_msg=f"seed {seed}")


@pytest.mark.slow
def test_program_for_another_engine_is_refused(program_and_inputs, rtl):
    _, inputs = program_and_inputs
    other = replace(ENGINE, act_depth=2 * ENGINE.act_depth)
    graph, inputs = random_layer(np.random.default_rng(2), ENGINE)
    foreign = tw.compile_graph(graph, tw.Target(engine=other))
    memory = foreign.memory([array[:1] for array in inputs])
    with rtl.session() as session:
        assert run(session, foreign, memory).status is Status.CONFIG_MISMATCH
    with pytest.raises(ExecutionError, match="digest of the engine"):
        tw.simulate(replace(foreign, target=tw.Target(engine=ENGINE)), inputs)


def test_saved_program_is_read_back_whole(program_and_inputs, tmp_path):
    program, inputs = program_and_inputs
    again = tw.Program.load(program.save(tmp_path / "net.tw"))
    assert again.graph == program.graph
    assert again.target == program.target
    np.testing.assert_array_equal(again.image, program.image)
    compare_outputs(again, tw.simulate(program, inputs), tw.simulate(again, inputs))


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_damaged_and_foreign_files_are_refused(program_and_inputs, tmp_path):
    program, _ = program_and_inputs

    def damage(members):
        members["memory.bin"] = members["memory.bin"][:-1] + b"!"

    def age(members):
        manifest = json.loads(members["manifest.json"])
        manifest["isa_version"] = 0
        members["manifest.json"] = json.dumps(manifest).encode()

    for change, message in ((damage, "checksum of memory.bin"), (age, "ISA version 0")):
        path = program.save(tmp_path / "net.tw")
        rewrite(path, change)
        with pytest.raises(ProgramError, match=message):
            tw.Program.load(path)
    path = tmp_path / "noise.tw"
    path.write_bytes(b"PK nothing of the kind")
    with pytest.raises(ProgramError, match="not a Tilewright program"):
        tw.Program.load(path)
    with pytest.raises(tw.Error, match="No such file"):
        tw.Program.load(tmp_path / "missing.tw")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda shape: np.zeros((1, 99, *shape[1:]), np.int64), "must have shape"),
        (lambda shape: np.full((1, *shape), 1000), "must be in"),
        (lambda shape: np.full((1, *shape), np.nan), "NaN"),
        (lambda shape: np.zeros((0, *shape), np.int64), "must have shape"),
        (lambda shape: np.zeros((1, *shape), bool), "floats or integers"),
    ],
)
def test_wrong_input_is_refused(program_and_inputs, make, message):
    program, _ = program_and_inputs
    shape = program.graph.values[program.graph.inputs[0].output].shape
    with pytest.raises(Error, match=message):
        tw.simulate(program, [make(shape)] * len(program.graph.inputs))


def test_input_in_another_memory_order_gives_the_same(program_and_inputs):
    program, inputs = program_and_inputs
    turned = [np.asfortranarray(array) for array in inputs]
    compare_outputs(program, tw.simulate(program, inputs), tw.simulate(program, turned))


SMALL = {"acc_width": 16, "addr_width": 12}


@pytest.mark.parametrize("parameter", SMALL)
def test_engine_too_small_names_the_parameter(parameter):
    for seed in range(200):
        graph, _ = random_layer(np.random.default_rng(seed), ENGINE)
        small = replace(ENGINE, **{parameter: SMALL[parameter]})
        if fails(graph, small):
            # Memory is taken by all layers together.
            where = "weights, feature maps" if parameter == "addr_width" else "layer: "
            with pytest.raises(EngineLimitError, match=rf"{where}.*{parameter}"):
                assemble(graph, small, timing(small))
            return
    pytest.fail("it was always enough")


def test_accumulator_as_wide_as_the_message_says_is_enough():
    graph, inputs = next(
        layer
        for layer in (random_layer(np.random.default_rng(seed), ENGINE) for seed in range(200))
        if fails(layer[0], replace(ENGINE, acc_width=16))
    )
    with pytest.raises(EngineLimitError) as caught:
        assemble(graph, replace(ENGINE, acc_width=16), timing(ENGINE))
    needed = int(re.search(r"at least (\d+)", str(caught.value)).group(1))
    assert fails(graph, replace(ENGINE, acc_width=needed - 1))
    config = replace(ENGINE, acc_width=needed)
    program = tw.compile_graph(graph, tw.Target(engine=config))
    compare_outputs(
        program,
        tw.simulate(program, inputs, backend="golden"),
        tw.simulate(program, inputs, backend="isa"),
    )


def fails(graph, config):
    try:
        assemble(graph, config, timing(config))
    except EngineLimitError:
        return True
    return False


def test_a_difference_is_reported_with_its_place(program_and_inputs):
    program, inputs = program_and_inputs
    right = tw.simulate(program, inputs, backend="golden")
    wrong = [array.copy() for array in right.outputs]
    wrong[0][0, -1, -1, -1] += 1
    with pytest.raises(DivergenceError, match=r"channel .* row .* 1 of"):
        compare_outputs(program, right, replace(right, outputs=wrong))
