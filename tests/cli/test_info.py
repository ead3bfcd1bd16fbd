"""``tilewright info``."""

import json
from dataclasses import asdict

import tilewright as tw
from tests.cli.run import invoke


def test_info_says_what_a_program_takes_and_gives(pair, tmp_path):
    path = tmp_path / "info.json"
    output = invoke("info", pair, "--json", path)
    record, loaded = json.loads(path.read_text()), tw.Program.load(pair)
    inputs, outputs = record["inputs"], record["outputs"]
    assert [x["name"] for x in inputs] == ["features", "sequence"]
    assert [x["shape"] for x in inputs] == [[6], [2, 5]]
    assert [x["name"] for x in outputs] == ["output.0", "output.1"]
    assert [x["shape"] for x in outputs] == [[4], [3, 3]]
    for entry, kind in zip(outputs, loaded.result_types, strict=True):
        assert (entry["scale"], entry["zero_point"]) == (kind.scale, kind.zero_point)
        assert f"{kind.scale:.6g}" in output
    assert not outputs[0]["signed"]
    assert tw.EngineConfig.from_fields(record["engine"]) == loaded.engine
    assert record["memory"] == {**asdict(loaded.target.memory), "bytes": loaded.image.size}
    assert record["layers"] == [asdict(layer) for layer in loaded.layers]
    assert "(N, 2, 5)" in output
    assert "engine: 4 x 4, 106.25 MHz on ulx3s-85f" in output
    assert f"memory: {loaded.image.size:,} bytes; chip IS42S16160G-7, clock_mhz 106.25" in output
    for layer in loaded.layers:
        assert f"{layer.macs:,}" in output
