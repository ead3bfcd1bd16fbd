// The bench around a verilated engine: clock, reset, memory, a manager of the register port, the
// trace recorder. Everything that knows the register map is on the Python side.
//
// Compiled with BUS_BYTES (bytes per beat of the bus), SDRAM for an engine behind which there is a
// controller, and WAVES for a build that can record them.

#include "Vtop.h"
#include "checkpoint.h"
#include "entry.h"
#include "port.h"
#include "trace.h"
#include "verilated.h"
#ifdef WAVES
#include "verilated_vcd_c.h"
#endif

#include <memory>

namespace tilewright {
namespace {

constexpr uint64_t LITE_LIMIT = 1000000;  // cycles for one register access

// Returns 0 to go on; anything else ends the run.
using Progress = int (*)(uint64_t cycles);

enum Outcome { INTERRUPT, CYCLE_LIMIT, ABORTED };

// Protection bits are optional.
template <typename Top> void tie_off(Top &top) {
    if constexpr (requires { top.s_axil_awprot; }) top.s_axil_awprot = 0;
    if constexpr (requires { top.s_axil_arprot; }) top.s_axil_arprot = 0;
}

class Bench {
public:
    Bench() : top(&context) {
        tie_off(top);
        memory.tie_off(top);
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = 0;
        top.s_axil_awaddr = top.s_axil_araddr = top.s_axil_wdata = top.s_axil_wstrb = 0;
        top.s_axil_bready = top.s_axil_rready = 0;
#ifdef WAVES
        context.traceEverOn(true);
        top.trace(&waves, 99);
#endif
    }

    ~Bench() {
#ifdef WAVES
        waves.close();
#endif
        top.final();
    }

    void configure(uint8_t *image, uint64_t size, uint32_t base, const MemoryOptions &options,
                   const ChipOptions &chip) {
        memory.configure(image, size, base, options, chip);
        random = Random(~options.seed);
        random_lite = options.random;
    }

    void reset() {
        top.rst = 1;
        for (int i = 0; i < 4; ++i)
            cycle();
        top.rst = 0;
        memory.forget();
        do
            cycle();
        while (!memory.ready(top));
    }

    // Cycles first..last, counted from the start of the program, go to this file.
    void record_waves(const char *path, int64_t first, int64_t last) {
        waves_path = path;
        waves_first = first;
        waves_last = last;
#ifndef WAVES
        throw std::runtime_error("this build records no waveforms");
#endif
    }

    void write(uint32_t offset, uint32_t value) {
        top.s_axil_awaddr = offset;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = 15;
        bool sent_address = false, sent_data = false;
        for (uint64_t limit = 0; !(sent_address && sent_data); ++limit) {
            lite_check(limit, offset);
            // A valid that is up stays up; random mode raises the two in any order.
            top.s_axil_awvalid = !sent_address && (top.s_axil_awvalid || lite_goes());
            top.s_axil_wvalid = !sent_data && (top.s_axil_wvalid || lite_goes());
            cycle();
            sent_address |= top.s_axil_awvalid && seen.awready;
            sent_data |= top.s_axil_wvalid && seen.wready;
        }
        top.s_axil_awvalid = top.s_axil_wvalid = 0;
        for (uint64_t limit = 0;; ++limit) {
            lite_check(limit, offset);
            top.s_axil_bready = lite_goes();
            cycle();
            if (seen.bvalid && top.s_axil_bready)
                break;
        }
        top.s_axil_bready = 0;
        if (seen.bresp != OKAY)
            violate(int64_t(clock) - trace.go, "write of register 0x%02x: BRESP %u", offset, seen.bresp);
    }

    uint32_t read(uint32_t offset) {
        top.s_axil_araddr = offset;
        for (uint64_t limit = 0;; ++limit) {
            lite_check(limit, offset);
            top.s_axil_arvalid = top.s_axil_arvalid || lite_goes();
            cycle();
            if (top.s_axil_arvalid && seen.arready)
                break;
        }
        top.s_axil_arvalid = 0;
        for (uint64_t limit = 0;; ++limit) {
            lite_check(limit, offset);
            top.s_axil_rready = lite_goes();
            cycle();
            if (seen.rvalid && top.s_axil_rready)
                break;
        }
        top.s_axil_rready = 0;
        if (seen.rresp != OKAY)
            violate(int64_t(clock) - trace.go, "read of register 0x%02x: RRESP %u", offset, seen.rresp);
        return seen.rdata;
    }

    int wait(uint64_t cycle_limit, uint64_t interval, Progress progress) {
        for (uint64_t done = 0;; ++done) {
            if (seen.irq)
                return INTERRUPT;
            if (done == cycle_limit)
                return CYCLE_LIMIT;
            if (progress && interval && done % interval == interval - 1 && progress(clock - trace.go))
                return ABORTED;
            cycle();
        }
    }

    uint64_t elapsed() const { return clock; }

    bool bus_is_quiet() const { return memory.quiet(); }

    // The state of everything but the memory's image.
    void save(const char *path) {
        VerilatedSave file;
        file.open(path);
        if (!file.isOpen())
            throw std::runtime_error(std::string("cannot write ") + path);
        file << top;
        Saver saver{file};
        archive(saver);
        file.close();
    }

    void restore(const char *path) {
        VerilatedRestore file;
        file.open(path);
        if (!file.isOpen())
            throw std::runtime_error(std::string("cannot read ") + path);
        file >> top;
        Restorer restorer{file};
        archive(restorer);
        file.close();
    }

    std::string error;
    Trace trace;

private:
    template <typename Archive> void archive(Archive &archive) {
        memory.archive(archive);
        archive(random, random_lite, seen, clock, reset_started, trace.go, trace.starts, trace.dones);
    }

    // The register port and the interrupt as they were just before the last clock edge.
    struct Seen {
        bool awready, wready, bvalid, arready, rvalid, irq;
        uint8_t bresp, rresp;
        uint32_t rdata;
    };

    void cycle() {
        memory.drive(top, clock);
        top.clk = 0;
        top.eval();
        if (!top.rst && trace.record(top, clock))
            memory.set_origin(clock);
        dump(2 * clock);
        memory.observe(top, top.rst && clock - reset_started > 1);
        if (!top.rst)
            reset_started = clock + 1;
        seen = {bool(top.s_axil_awready), bool(top.s_axil_wready), bool(top.s_axil_bvalid),
                bool(top.s_axil_arready), bool(top.s_axil_rvalid), bool(top.irq),
                top.s_axil_bresp, top.s_axil_rresp, top.s_axil_rdata};
        top.clk = 1;
        top.eval();
        dump(2 * clock + 1);
        clock += 1;
    }

    void dump([[maybe_unused]] uint64_t time) {
#ifdef WAVES
        if (waves_path.empty() || trace.go == 0)
            return;
        const int64_t at = int64_t(clock) - trace.go;
        if (at >= waves_first && at <= waves_last) {
            if (!waves.isOpen())
                waves.open(waves_path.c_str());
            waves.dump(time - 2 * uint64_t(trace.go));
        } else if (at > waves_last && waves.isOpen()) {
            waves.close();
            waves_path.clear();
        }
#endif
    }

    bool lite_goes() { return !random_lite || random.chance(128); }

    void lite_check(uint64_t cycles, uint32_t offset) const {
        if (cycles > LITE_LIMIT)
            violate(int64_t(clock) - trace.go, "register 0x%02x does not answer", offset);
    }

    VerilatedContext context;
    Vtop top;
#ifdef WAVES
    VerilatedVcdC waves;
#endif
    Port<Vtop> memory;
    Random random{0};
    bool random_lite = false;
    Seen seen = {};
    uint64_t clock = 0;
    uint64_t reset_started = 0;
    std::string waves_path;
    int64_t waves_first = 0, waves_last = -1;
};

}  // namespace
}  // namespace tilewright

using namespace tilewright;

namespace {

template <typename Action> int64_t guarded(void *handle, Action action) {
    return tilewright::guarded<Bench>(handle, action);
}

}  // namespace

ENTRY void *tw_open() { return new Bench; }

ENTRY void tw_close(void *handle) { delete static_cast<Bench *>(handle); }

ENTRY const char *tw_error(void *handle) { return static_cast<Bench *>(handle)->error.c_str(); }

ENTRY int64_t tw_configure(void *handle, uint8_t *image, uint64_t size, uint32_t base,
                           const MemoryOptions *options, const ChipOptions *chip) {
    return guarded(handle, [&](Bench &bench) {
        bench.configure(image, size, base, *options, *chip);
        return 0;
    });
}

ENTRY int64_t tw_reset(void *handle) {
    return guarded(handle, [&](Bench &bench) {
        bench.reset();
        return 0;
    });
}

ENTRY int64_t tw_waves(void *handle, const char *path, int64_t first, int64_t last) {
    return guarded(handle, [&](Bench &bench) {
        bench.record_waves(path, first, last);
        return 0;
    });
}

ENTRY int64_t tw_write(void *handle, uint32_t offset, uint32_t value) {
    return guarded(handle, [&](Bench &bench) {
        bench.write(offset, value);
        return 0;
    });
}

ENTRY int64_t tw_read(void *handle, uint32_t offset) {
    return guarded(handle, [&](Bench &bench) { return int64_t(bench.read(offset)); });
}

ENTRY int64_t tw_wait(void *handle, uint64_t cycle_limit, uint64_t interval, Progress progress) {
    return guarded(handle, [&](Bench &bench) {
        return int64_t(bench.wait(cycle_limit, interval, progress));
    });
}

ENTRY int64_t tw_save(void *handle, const char *path) {
    return guarded(handle, [&](Bench &bench) {
        bench.save(path);
        return 0;
    });
}

ENTRY int64_t tw_restore(void *handle, const char *path) {
    return guarded(handle, [&](Bench &bench) {
        bench.restore(path);
        return 0;
    });
}

// Copies at most `capacity` cycle numbers to `out`; returns how many there are.
ENTRY int64_t tw_events(void *handle, uint32_t kind, uint32_t unit, int64_t *out,
                        uint64_t capacity) {
    return guarded(handle, [&](Bench &bench) {
        return bench.trace.copy(kind, unit, out, capacity);
    });
}

ENTRY int64_t tw_elapsed(void *handle) {
    return guarded(handle, [&](Bench &bench) { return int64_t(bench.elapsed()); });
}

ENTRY int64_t tw_bus_is_quiet(void *handle) {
    return guarded(handle, [&](Bench &bench) { return int64_t(bench.bus_is_quiet()); });
}
