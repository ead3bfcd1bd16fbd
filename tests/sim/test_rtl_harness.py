"""The bench around the RTL, with a small copy machine in the engine's place."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pylibfst import fstReaderIterBlocks2, get_scopes_signals2, lib, string

from tilewright.cache import cache_folder
from tilewright.isa import EngineConfig, Unit
from tilewright.isa.registers import Status
from tilewright.sim.rtl import RtlEngine, RtlError, build
from tilewright.sim.rtl.checkpoint import Checkpoint

SOURCE = (Path(__file__).parent / "copy_machine.v").read_text()
FAULT_WLAST, FAULT_UNSTABLE, FAULT_SIZE, FAULT_HANG, FAULT_HAZARD = 1, 2, 3, 4, 5
BASE, PROGRAM, BEATS = 0x40000000, 0x1000, 5


@dataclass
class Timing:
    read_latency: int = 10
    write_latency: int = 6
    beat_interval: int = 1


def verilog(bus_bytes):
    return SOURCE.replace("`BYTES", str(bus_bytes))


@pytest.fixture(scope="module", params=[32, 64, 128])
def any_engine(request):
    config = EngineConfig(bus_width=request.param)
    return RtlEngine(config, verilog=verilog(config.bus_bytes), cache_dir=cache_folder())


@pytest.fixture(scope="module")
def engine():
    return RtlEngine(EngineConfig(bus_width=64), verilog=verilog(8), cache_dir=cache_folder())


def image(seed=1):
    return np.random.default_rng(seed).integers(0, 256, 0x3000).astype(np.uint8)


def run(engine, memory, *, timing=None, program=PROGRAM, beats=BEATS, fault=0, **options):
    options.setdefault("cycle_limit", 10_000)
    return engine.run(memory, BASE, program, beats, timing or Timing(), watchdog=fault, **options)


def copied(memory, bus_bytes, program=PROGRAM, beats=BEATS):
    expected = memory.copy()
    size = 2 * beats * bus_bytes
    expected[program + 2048 : program + 2048 + size] = memory[program : program + size]
    return expected


def test_copies_on_every_bus_width(any_engine):
    memory = image()
    expected = copied(memory, any_engine.config.bus_bytes)
    result = run(any_engine, memory)
    assert result.status is Status.DONE
    np.testing.assert_array_equal(memory, expected)
    assert result.counters["BYTES_READ"] == 2 * BEATS * any_engine.config.bus_bytes


@pytest.mark.parametrize(("read_latency", "write_latency"), [(1, 1), (10, 6), (40, 3)])
@pytest.mark.parametrize("beat_interval", [1, 3])
def test_latencies_are_exact(engine, read_latency, write_latency, beat_interval):
    result = run(engine, image(), timing=Timing(read_latency, write_latency, beat_interval))
    (load_start,), (compute_start,), (store_start,) = result.starts
    (load_done,), (compute_done,), (store_done,) = result.dones
    burst = (BEATS - 1) * beat_interval
    assert load_start == 1
    assert compute_start == load_start + 1
    assert compute_done == load_start + read_latency + burst
    # The second burst follows the first without a gap, unless its own latency is not yet over.
    second = max(compute_start + read_latency, compute_done + 1)
    assert load_done == second + burst
    # Both write bursts go without a gap, and their responses come in order.
    assert store_done == store_start + 2 * BEATS - 1 + write_latency


def test_runs_are_reproducible(engine):
    first, second = (run(engine, image(), random_seed=7) for _ in range(2))
    assert first.cycles == second.cycles
    for a, b in zip(first.dones, second.dones, strict=True):
        np.testing.assert_array_equal(a, b)


def test_random_stalls_change_time_but_not_data(engine):
    cycles = set()
    for seed in range(20):
        memory = image(seed)
        expected = copied(memory, 8)
        cycles.add(run(engine, memory, random_seed=seed).cycles)
        np.testing.assert_array_equal(memory, expected)
    assert len(cycles) > 10


@pytest.mark.parametrize(
    ("error_on", "status"), [("read", Status.READ_ERROR), ("write", Status.WRITE_ERROR)]
)
def test_error_response_reaches_the_engine(engine, error_on, status):
    offset = PROGRAM + 8 * BEATS + (2048 if error_on == "write" else 0)
    memory = image()
    before = memory.copy()
    result = run(engine, memory, error_address=BASE + offset, error_on=error_on)
    assert result.status is status
    # A burst that fails writes nothing.
    np.testing.assert_array_equal(memory[offset : offset + 8], before[offset : offset + 8])


def test_error_elsewhere_is_no_error(engine):
    assert run(engine, image(), error_address=BASE + PROGRAM - 1).status is Status.DONE


def test_session_recovers_after_an_error(engine):
    memory = image()
    with engine.session() as session:
        failed = session.run(memory, BASE, PROGRAM, BEATS, Timing(), error_address=BASE + PROGRAM)
        assert failed.status is Status.READ_ERROR
        expected = copied(memory, 8)
        again = session.run(memory, BASE, PROGRAM, BEATS, Timing())
    assert again.status is Status.DONE
    np.testing.assert_array_equal(memory, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fault": FAULT_WLAST}, r"wlast is 1 in beat 3 of the 5 beats at 0x40001828"),
        ({"fault": FAULT_SIZE}, r"read burst at 0x40001000: size 2 and burst 1, must be 3 and 1"),
        ({"program": 0xFF0}, r"read burst at 0x40000ff0 of 5 beats crosses a 4 KiB boundary"),
        ({"program": 0x2F00}, r"write burst at 0x40003700 .* outside the memory, 0x40000000\.\."),
        ({"program": 0x1004}, r"read burst at 0x40001004: not aligned to 8 bytes"),
        ({"fault": FAULT_HAZARD}, r"a write of 0x40001000 starts before a read of 0x40001000"),
        ({"fault": FAULT_HANG}, r"no interrupt within 10000 cycles; .*load 0, compute 0, store 0"),
    ],
)
def test_broken_rules_are_reported(engine, options, message):
    with pytest.raises(RtlError, match=message):
        run(engine, image(), **options)


def test_changed_payload_is_reported(engine):
    messages = []
    for seed in range(20):
        try:
            run(engine, image(), fault=FAULT_UNSTABLE, random_seed=seed)
        except RtlError as error:
            messages.append(str(error))
    assert any("m_axi_aw* changed before awready" in message for message in messages)


def test_hazard_check_can_be_left_out(engine):
    assert run(engine, image(), fault=FAULT_HAZARD, check_hazards=False).status is Status.DONE


def test_progress_is_reported_and_its_exceptions_end_the_run(engine):
    seen = []
    end = run(engine, image(), progress=seen.append, progress_interval=10).cycles
    assert seen[1] - seen[0] == 10
    assert 0 < seen[0] < seen[-1] <= end + 10

    def fail(cycles):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine, image(), fault=FAULT_HANG, progress=fail, progress_interval=10)


def test_registers_can_be_read_and_written(engine):
    with engine.session() as session:
        session.attach(image(), BASE, Timing())
        session.write_register("BASE", 0xDEADB000)
        assert session.read_register("BASE") == 0xDEADB000


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (np.zeros(64, np.int8), "contiguous one-dimensional uint8"),
        (np.zeros((8, 8), np.uint8), "contiguous one-dimensional uint8"),
        (np.zeros(64, np.uint8)[::2], "contiguous one-dimensional uint8"),
    ],
)
def test_rejects_bad_memory(engine, memory, message):
    with pytest.raises(RtlError, match=message):
        run(engine, memory)


def test_rejects_latency_of_zero(engine):
    with pytest.raises(RtlError, match="read_latency must be at least 1, not 0"):
        run(engine, image(), timing=Timing(read_latency=0))


def test_two_builders_build_once(tmp_path):
    config = EngineConfig(bus_width=32)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(build, config, verilog=verilog(4), cache_dir=tmp_path) for _ in range(2)
        ]
        first, second = (job.result() for job in jobs)
    assert first == second
    assert [path.name for path in tmp_path.glob("*.so")] == [first.name]
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    built = first.stat().st_ino
    assert build(config, verilog=verilog(4), cache_dir=tmp_path) == first
    assert first.stat().st_ino == built


def test_missing_program_names_its_package(monkeypatch, tmp_path):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "g++" else which(name))
    with pytest.raises(RtlError, match=r"needs g\+\+; on Debian: apt-get install g\+\+$"):
        build(EngineConfig(), verilog=verilog(8), cache_dir=tmp_path)


def test_verilog_that_does_not_compile_is_an_error(tmp_path):
    with pytest.raises(RtlError, match="could not build the engine"):
        build(EngineConfig(), verilog="module tilewright_engine(;", cache_dir=tmp_path)
    assert not list(tmp_path.glob("*.so"))


def test_counters_and_units_are_complete(engine):
    result = run(engine, image())
    assert set(result.counters) >= {"CYCLES", "COMPUTE_STEPS", "STORE_DONE"}
    assert len(result.starts) == len(result.dones) == len(Unit)


def test_waveform_of_a_window(tmp_path):
    engine = RtlEngine(EngineConfig(), verilog=verilog(8), cache_dir=cache_folder(), waves=True)
    path = tmp_path / "window.vcd"
    assert run(engine, image(), waves=(path, 2, 20)).status is Status.DONE
    times = [int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#")]
    # Two half cycles each, counted from the start of the program.
    assert min(times) == 2 * 2
    assert max(times) == 2 * 20 + 1


def test_waveform_as_fst(tmp_path):
    engine = RtlEngine(EngineConfig(), verilog=verilog(8), cache_dir=cache_folder(), waves=True)
    path = tmp_path / "window.fst"
    run(engine, image(), waves=(path, 2, 20))
    run(engine, image(), waves=(path.with_suffix(".vcd"), 2, 20))
    assert set(tmp_path.iterdir()) == {path, path.with_suffix(".vcd")}
    reader = lib.fstReaderOpen(str(path).encode())
    assert lib.fstReaderGetStartTime(reader) == 2 * 2
    assert lib.fstReaderGetEndTime(reader) == 2 * 20 + 1
    _, signals = get_scopes_signals2(reader)
    changes = {}
    lib.fstReaderSetFacProcessMaskAll(reader)
    fstReaderIterBlocks2(
        reader,
        lambda _, time, handle, value: changes.setdefault((time, handle), string(value)),
        None,
        None,
    )
    lib.fstReaderClose(reader)
    names = [line.split()[3:5] for line in open(path.with_suffix(".vcd")) if "$var" in line]
    clk = next(s for name, s in signals.by_name.items() if name.endswith(".clk"))
    assert [changes[time, clk.handle] for time in (5, 6, 7)] == ["1", "0", "1"]
    assert len(signals.by_name) <= len(names)


def test_a_run_goes_on_from_its_checkpoint(engine, tmp_path):
    """An interrupted run and its continuation are one run, cycle for cycle."""
    path = tmp_path / "state"
    whole = image()
    expected = run(engine, whole, random_seed=7)
    for stop in range(1, expected.cycles, 3):
        calls = []

        def interrupt(cycles, stop=stop, calls=calls):
            calls.append(cycles)
            if len(calls) == stop:
                raise KeyboardInterrupt

        memory = image()
        with pytest.raises(KeyboardInterrupt):
            run(
                engine, memory, random_seed=7, progress=interrupt, progress_interval=1,
                checkpoint=Checkpoint(path, "a", seconds=0),
            )  # fmt: skip
        memory[:] = 0
        result = run(engine, memory, random_seed=7, checkpoint=Checkpoint(path, "a"))
        assert (memory == whole).all(), stop
        assert result.cycles == expected.cycles, stop
        assert all(np.array_equal(*pair) for pair in zip(result.dones, expected.dones, strict=True))
        assert not path.exists()


def test_the_checkpoint_of_another_run_is_refused(engine, tmp_path):
    path = tmp_path / "state"

    def interrupt(cycles):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            engine, image(), progress=interrupt, progress_interval=5,
            checkpoint=Checkpoint(path, "a", seconds=0),
        )  # fmt: skip
    with pytest.raises(RtlError, match="of another run"):
        run(engine, image(), checkpoint=Checkpoint(path, "b"))
    path.write_bytes(b"PK")
    with pytest.raises(RtlError, match="is no checkpoint"):
        run(engine, image(), checkpoint=Checkpoint(path, "a"))


def test_waveform_without_the_build_for_it(engine, tmp_path):
    with pytest.raises(RtlError, match="this build records no waveforms"):
        run(engine, image(), waves=(tmp_path / "x.vcd", 0, 10))
