// An SDR SDRAM at its pins: data, and a judge of every rule of its data sheet; throws Violation.
// tests/hdl/memory/sdram_model.py is the same chip in Python.
//
// Source: JEDEC JESD21-C, 3.11.5. Times are cycles, rounded up from the chip's nanoseconds.

#pragma once

#include "memory.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace tilewright {

// The same fields, in the same order, as ChipOptions in Python.
struct ChipOptions {
    uint32_t word_bytes, row_width, column_width, cas_latency;
    uint32_t rcd, rp, ras, rc, rfc, rrd, wr, mrd;
    uint32_t refresh;   // cycles from one refresh to the next, on average
    uint32_t power_up;  // cycles before the first command
};

class Sdram {
public:
    struct Pins {
        unsigned command, bank, address, mask;
        uint32_t data;
        bool drives;
    };

    void configure(uint8_t *image, uint64_t size, const ChipOptions &options) {
        bytes = image;
        byte_count = size;
        chip = options;
    }

    // The word that the chip drives in this cycle, and whatever is on the wires if it does not.
    uint32_t driven() const { return valid[now % DELAYS] ? words[now % DELAYS] : 0xDEADDEAD; }

    void observe(const Pins &pins) {
        const bool drives = valid[now % DELAYS];
        valid[now % DELAYS] = false;
        check(!(drives && pins.drives), "chip and controller both drive");
        if (pins.command != NOP) {
            check(now >= quiet_until, "a command too early after MODE or REFRESH");
            check(now + 1 >= chip.power_up, "a command before the chip is up");
            command(pins);
        }
        if (length && refreshes)
            check((now - first_refresh) / chip.refresh + 1 <= refreshes + LATE,
                  "refreshes come too late");
        if (left)
            move(pins);
        else
            check(!pins.drives, "data without a write");
        now += 1;
    }

    void set_origin(uint64_t cycle) { origin = cycle; }

    template <typename Archive> void archive(Archive &archive) {
        archive(now, origin, quiet_until, open, row, activated, precharged, written, refreshes,
                first_refresh, length, writes, bank, column, left, valid, words);
    }

private:
    enum Command { MODE, REFRESH, PRECHARGE, ACTIVE, WRITE, READ, NOP = 7 };
    static constexpr uint64_t DELAYS = 16, LATE = 8;
    static constexpr int64_t LONG_AGO = -1000000;

    void check(bool ok, const char *what) const {
        if (!ok)
            violate(int64_t(now - origin), "SDRAM: %s", what);
    }

    void apart(int64_t since, uint32_t least, const char *what) const {
        check(int64_t(now) - since >= int64_t(least), what);
    }

    void closed(const char *what) const {
        for (unsigned b = 0; b < 4; ++b) {
            check(!open[b], what);
            apart(precharged[b], chip.rp, "tRP before MODE or REFRESH");
        }
    }

    void command(const Pins &pins) {
        const unsigned b = pins.bank, a = pins.address;
        switch (pins.command) {
        case MODE:
            closed("MODE with an open row");
            check(refreshes >= 2, "MODE before two refreshes");
            check((a >> 4 & 7) == chip.cas_latency && a >> 7 == 0 && !(a & 8) && (a & 7) <= 3,
                  "a mode that is not supported");
            length = 1u << (a & 7);
            quiet_until = now + chip.mrd;
            break;
        case REFRESH:
            closed("REFRESH with an open row");
            if (!refreshes)
                first_refresh = now;
            refreshes += 1;
            quiet_until = now + chip.rfc;
            break;
        case PRECHARGE:
            for (unsigned i = 0; i < 4; ++i)
                if (a >> 10 & 1 || i == b)
                    precharge(i);
            break;
        case ACTIVE:
            check(length, "ACTIVE before MODE");
            check(!open[b], "ACTIVE of an open bank");
            check(a >> chip.row_width == 0, "a row that is not there");
            apart(precharged[b], chip.rp, "tRP");
            apart(activated[b], chip.rc, "tRC");
            for (unsigned i = 0; i < 4; ++i)
                apart(activated[i], chip.rrd, "tRRD");
            open[b] = true;
            row[b] = a;
            activated[b] = int64_t(now);
            break;
        case READ:
        case WRITE:
            check(open[b], "a column of a closed bank");
            apart(activated[b], chip.rcd, "tRCD");
            check(a >> chip.column_width == 0, "a column that is not there");
            check(!left, "a burst that is cut short");
            writes = pins.command == WRITE;
            if (writes)
                for (uint64_t i = 0; i + 1 < DELAYS; ++i)
                    check(!valid[(now + i) % DELAYS], "WRITE while the chip drives");
            bank = b;
            column = a;
            left = length;
            break;
        default:
            check(false, "a command that does not exist");
        }
    }

    void precharge(unsigned b) {
        if (open[b]) {
            apart(activated[b], chip.ras, "tRAS");
            apart(written[b], chip.wr, "tWR");
            check(!(left && bank == b), "PRECHARGE within a burst");
        }
        open[b] = false;
        precharged[b] = int64_t(now);
    }

    void move(const Pins &pins) {
        const uint64_t word = (uint64_t(row[bank] << 2 | bank) << chip.column_width) | column;
        const uint64_t at = word * chip.word_bytes;
        if (writes) {
            check(pins.drives, "a write without data");
            for (unsigned i = 0; i < chip.word_bytes; ++i)
                if (!(pins.mask >> i & 1)) {
                    check(at + i < byte_count, "a write outside the memory");
                    bytes[at + i] = uint8_t(pins.data >> 8 * i);
                }
            written[bank] = int64_t(now);
        } else {
            check(!pins.mask, "a read with its bytes masked");
            uint32_t value = 0x5A5A5A5A;  // of what was never written
            if (at + chip.word_bytes <= byte_count)
                std::memcpy(&value, bytes + at, chip.word_bytes);
            valid[(now + chip.cas_latency) % DELAYS] = true;
            words[(now + chip.cas_latency) % DELAYS] = value;
        }
        column = (column & ~(length - 1)) | ((column + 1) & (length - 1));
        left -= 1;
    }

    uint8_t *bytes = nullptr;
    uint64_t byte_count = 0;
    ChipOptions chip = {};
    uint64_t now = 0, origin = 0, quiet_until = 0;
    std::array<bool, 4> open = {};
    std::array<uint32_t, 4> row = {};
    std::array<int64_t, 4> activated{LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO};
    std::array<int64_t, 4> precharged = activated, written = activated;
    uint64_t refreshes = 0, first_refresh = 0;
    uint32_t length = 0;  // of a burst; 0 before MODE
    bool writes = false;
    uint32_t bank = 0, column = 0, left = 0;  // of the burst under way
    std::array<bool, DELAYS> valid = {};
    std::array<uint32_t, DELAYS> words = {};
};

}  // namespace tilewright
