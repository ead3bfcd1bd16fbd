"""Rows of whole networks: figures without values, and marks of what was compared."""

import pytest

import tilewright as tw
from benchmarks import networks

CONFIG = tw.EngineConfig(rows=16, cols=7, multiplier_width=18, tables=4)
TARGET = tw.Target(engine=CONFIG, memory=tw.MemoryTiming(20, 5))


@pytest.fixture(scope="module")
def ds_cnn():
    return networks.quantized("ds_cnn", 8)


def test_cycles_and_bytes_are_those_of_a_run_with_values(ds_cnn):
    graph, image = ds_cnn
    program, record = networks.measure("ds_cnn", graph, TARGET)
    result = tw.simulate(program, image)
    assert record["cycles"] == result.cycles
    assert record["memory_bytes"] == sum(x.bytes_read + x.bytes_written for x in result.layers)
    assert record["macs"] == sum(layer.macs for layer in result.layers)


def test_a_row_says_what_was_compared(ds_cnn):
    graph, image = ds_cnn
    record = networks.measure_and_compare("ds_cnn", graph, image, TARGET, "golden")
    name, cycles = (
        networks.row_of(record)[networks.HEADINGS.index(h)] for h in ("network", "cycles")
    )
    assert (name, cycles) == ("ds_cnn = golden", f"{record['cycles']:,}")
    row = networks.row_of({**record, "compared": "rtl"})
    assert (row[0], row[3]) == ("ds_cnn", f"{record['cycles']:,} = RTL")


def test_a_wrong_output_ends_a_comparison(ds_cnn, monkeypatch):
    graph, image = ds_cnn
    simulate = tw.simulate

    def wrong(program, inputs, **options):
        result = simulate(program, inputs, **options)
        if options.get("backend") == "golden":
            result.outputs[0][0, 0] += 1
        return result

    monkeypatch.setattr(tw, "simulate", wrong)
    with pytest.raises(tw.Error, match="1 of 12 elements differ"):
        networks.measure_and_compare("ds_cnn", graph, image, TARGET, "golden")
    networks.measure_and_compare("ds_cnn", graph, image, TARGET, "")


def test_records_of_another_engine_are_not_kept(tmp_path):
    path = tmp_path / "networks.json"
    assert networks.known_records(path, CONFIG) == {}
    networks.write_records(path, CONFIG, [{"name": "ds_cnn", "cycles": 1}])
    assert networks.known_records(path, CONFIG)["ds_cnn"]["cycles"] == 1
    other = tw.EngineConfig(rows=8, cols=7, multiplier_width=18, tables=4)
    assert networks.known_records(path, other) == {}


def test_a_network_that_the_engine_refuses_is_named_with_the_reason(ds_cnn):
    graph, image = ds_cnn
    small = tw.EngineConfig(rows=16, cols=7, acc_width=16, multiplier_width=18, tables=4)
    target = tw.Target(engine=small, memory=tw.MemoryTiming(20, 5))
    record = networks.measure_and_compare("ds_cnn", graph, image, target, "")
    assert "acc_width" in record["refused"]
    assert f"Not on this engine:\n\n- ds_cnn: {record['refused']}\n" in networks.page(
        small, [record]
    )
    assert networks.table_of([record]).row_count == 0
