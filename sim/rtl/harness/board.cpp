// A board: its system, verilated, with its serial line bit by bit and, compiled with SDRAM, the chip
// at its pins.

#include "Vtop.h"
#include "entry.h"
#include "trace.h"
#include "verilated.h"
#ifdef SDRAM
#include "sdram.h"
#endif

#include <string>

namespace tilewright {
namespace {

#ifndef SDRAM
struct ChipOptions {};
#endif

// The host's end of an asynchronous serial line: eight data bits, no parity, one stop bit.
class Serial {
public:
    void configure(unsigned cycles_per_bit) { divisor = cycles_per_bit; }

    bool idle() const { return sending == 0; }

    void send(uint8_t byte) {
        frame = 0x200 | byte << 1;
        sending = 10 * divisor;
    }

    // The level in this cycle.
    bool drive() {
        if (!sending)
            return true;
        const unsigned bit = 9 - (sending - 1) / divisor;
        sending -= 1;
        return frame >> bit & 1;
    }

    // Returns whether a byte ends in this cycle; without its stop bit it is none.
    bool observe(bool level) {
        if (!receiving) {
            if (!level) {
                receiving = true;
                age = 0;
                received = 0;
            }
            return false;
        }
        age += 1;
        if (age % divisor != divisor / 2)
            return false;
        const unsigned bit = age / divisor;  // 0 is the start bit
        if (bit == 0 || bit > 8) {
            receiving = bit == 0 && !level;
            return bit > 8 && level;
        }
        received |= unsigned(level) << (bit - 1);
        return false;
    }

    uint8_t byte() const { return uint8_t(received); }

private:
    unsigned divisor = 4, frame = 0, sending = 0;
    bool receiving = false;
    unsigned age = 0, received = 0;
};

class Board {
public:
    Board() : top(&context) {}
    ~Board() { top.final(); }

    void configure([[maybe_unused]] uint8_t *image, [[maybe_unused]] uint64_t size,
                   [[maybe_unused]] const ChipOptions &chip, unsigned divisor) {
#ifdef SDRAM
        memory.configure(image, size, chip);
#endif
        serial.configure(divisor);
        top.rst = 1;
        for (int i = 0; i < 4; ++i)
            cycle();
        top.rst = 0;
    }

    // Sends all bytes, and goes on for so many cycles after the last one that was sent, or until as
    // many bytes have come as are wanted, if any are; returns how many have come.
    uint64_t exchange(const uint8_t *bytes, uint64_t count, uint8_t *out, uint64_t wanted,
                      uint64_t cycles) {
        uint64_t come = 0;
        for (uint64_t left = cycles; count || !serial.idle() || (left && (come < wanted || !wanted));) {
            if (count && serial.idle()) {
                serial.send(*bytes++);
                count -= 1;
            } else if (serial.idle())
                left -= 1;
            if (cycle())
                kept.push_back(serial.byte());
            while (come < wanted && taken < kept.size())
                out[come++] = kept[taken++];
            if (taken == kept.size()) {
                kept.clear();
                taken = 0;
            }
        }
        return come;
    }

    uint64_t elapsed() const { return clock; }

    std::string error;
    Trace trace;

private:
    bool cycle() {
        top.uart_rx = serial.drive();
#ifdef SDRAM
        top.sdram_dq_i = memory.driven();
#endif
        top.clk = 0;
        top.eval();
        if (!top.rst && trace.record(top, clock)) {
#ifdef SDRAM
            memory.set_origin(clock);
#endif
        }
#ifdef SDRAM
        memory.observe({unsigned(top.sdram_ras_n << 2 | top.sdram_cas_n << 1 | top.sdram_we_n),
                        top.sdram_ba, top.sdram_a, top.sdram_dqm, top.sdram_dq_o,
                        bool(top.sdram_dq_oe)});
#endif
        const bool come = serial.observe(top.uart_tx);
        top.clk = 1;
        top.eval();
        clock += 1;
        return come;
    }

    VerilatedContext context;
    Vtop top;
#ifdef SDRAM
    Sdram memory;
#endif
    Serial serial;
    std::vector<uint8_t> kept;  // bytes that came before they were asked for
    uint64_t taken = 0;         // of these
    uint64_t clock = 0;
};

template <typename Action> int64_t guarded(void *handle, Action action) {
    return tilewright::guarded<Board>(handle, action);
}

}  // namespace
}  // namespace tilewright

using namespace tilewright;

ENTRY void *tw_open() { return new Board; }

ENTRY void tw_close(void *handle) { delete static_cast<Board *>(handle); }

ENTRY const char *tw_error(void *handle) { return static_cast<Board *>(handle)->error.c_str(); }

ENTRY int64_t tw_configure(void *handle, uint8_t *image, uint64_t size, const ChipOptions *chip,
                           uint32_t divisor) {
    return guarded(handle, [&](Board &board) {
        board.configure(image, size, *chip, divisor);
        return 0;
    });
}

ENTRY int64_t tw_exchange(void *handle, const uint8_t *bytes, uint64_t count, uint8_t *out,
                          uint64_t wanted, uint64_t cycles) {
    return guarded(handle, [&](Board &board) {
        return int64_t(board.exchange(bytes, count, out, wanted, cycles));
    });
}

ENTRY int64_t tw_events(void *handle, uint32_t kind, uint32_t unit, int64_t *out,
                        uint64_t capacity) {
    return guarded(handle, [&](Board &board) {
        return board.trace.copy(kind, unit, out, capacity);
    });
}

ENTRY int64_t tw_elapsed(void *handle) {
    return guarded(handle, [&](Board &board) { return int64_t(board.elapsed()); });
}
