// An AXI4 memory that is also a judge: it answers an engine's reads and writes with a fixed or a
// random timing, and throws Violation when a rule of the bus is broken.
//
// Source of the rules: AMBA AXI and ACE Protocol Specification, ARM IHI 0022.
//
// A cycle has two halves. drive() sets the memory's outputs from what was decided in earlier
// cycles, the model is evaluated, then observe() looks at the handshakes of the cycle.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>

namespace tilewright {

struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <typename... Arguments>
[[noreturn]] void violate(int64_t cycle, const char *format, Arguments... arguments) {
    char text[256], line[320];
    std::snprintf(text, sizeof text, format, arguments...);
    std::snprintf(line, sizeof line, "cycle %lld: %s", static_cast<long long>(cycle), text);
    throw Violation(line);
}

// The generator of Steele, Lea and Flood (OOPSLA 2014), "SplitMix": one word of state.
class Random {
public:
    explicit Random(uint64_t seed) : state(seed) {}

    uint32_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<uint32_t>((z ^ (z >> 31)) >> 32);
    }

    bool chance(uint32_t of_256) { return (next() & 255) < of_256; }

private:
    uint64_t state;
};

// What a run asks of the memory; the same fields, in the same order, as MemoryOptions in Python.
struct MemoryOptions {
    uint32_t read_latency;    // cycles from the address to the first beat
    uint32_t write_latency;   // cycles from the last beat to the response
    uint32_t beat_interval;   // cycles from one beat to the next
    uint32_t random;          // 1: stall every channel at random
    uint64_t seed;
    uint64_t error_address;   // a burst that touches this address fails; all ones for none
    uint32_t error_on_read;
    uint32_t error_on_write;
    uint32_t check_hazards;   // refuse a read and a write of the same byte that overlap in time
    uint32_t one_at_a_time;   // 1: a burst ends before the next begins, writes go first
};

constexpr uint32_t OKAY = 0, SLVERR = 2;

template <unsigned BEAT_BYTES> class Memory {
public:
    using Data = std::array<uint8_t, BEAT_BYTES>;

    // What the memory drives in a cycle.
    struct Outputs {
        bool arready, rvalid, rlast, awready, wready, bvalid;
        uint8_t rresp, bresp;
        Data rdata;
    };

    // What the engine drives in a cycle, sampled when everything has settled.
    struct Address {
        bool valid;
        uint32_t address;
        uint8_t length, size, burst, id;

        bool operator==(const Address &) const = default;
    };
    struct Inputs {
        Address ar, aw;
        bool rready, bready;
        bool wvalid, wlast;
        uint32_t wstrb;
        Data wdata;
    };

    void configure(uint8_t *image, uint64_t size, uint32_t base, const MemoryOptions &requested) {
        bytes = image;
        byte_count = size;
        base_address = base;
        options = requested;
        random = Random(options.seed);
        // Each channel has its own habit, so that seeds differ in shape and not only in detail.
        for (auto &chance : stall_chance) {
            static constexpr uint32_t CHANCES[] = {0, 32, 128, 224};
            chance = options.random ? CHANCES[random.next() & 3] : 0;
        }
        forget();
    }

    // Forget transactions, as the engine does when it is reset.
    void forget() {
        reads.clear();
        writes.clear();
        beats.clear();
        outputs = {};
        before = {};
        beat_index = 0;
        beat_due = 0;
    }

    // Whether the address of a write is shown in this cycle matters to one burst at a time.
    const Outputs &drive(uint64_t cycle, bool write_shown) {
        now = cycle;
        const bool busy = options.one_at_a_time && !(reads.empty() && writes.empty());
        outputs.awready = !stalls(AW) && !busy;
        outputs.arready = !stalls(AR) && !busy && !(options.one_at_a_time && write_shown);
        outputs.wready = !stalls(W);
        if (!outputs.rvalid && !reads.empty()) {
            const Burst &burst = reads.front();
            const uint64_t first = burst.accepted + options.read_latency;
            const uint64_t due = beat_index ? beat_due : std::max(first, beat_due);
            if (now >= due && !stalls(R)) {
                outputs.rvalid = true;
                outputs.rlast = beat_index == burst.beats - 1;
                outputs.rresp = burst.fails ? SLVERR : OKAY;
                const uint64_t offset = burst.offset + uint64_t(beat_index) * BEAT_BYTES;
                std::memcpy(outputs.rdata.data(), bytes + offset, BEAT_BYTES);
            }
        }
        if (!outputs.bvalid && !writes.empty() && writes.front().complete()) {
            if (now >= writes.front().finished + options.write_latency && !stalls(B)) {
                outputs.bvalid = true;
                outputs.bresp = writes.front().fails ? SLVERR : OKAY;
            }
        }
        return outputs;
    }

    void observe(const Inputs &inputs) {
        check_stable(inputs);
        if (inputs.ar.valid && outputs.arready) {
            Burst burst = accept(inputs.ar, "read", options.error_on_read);
            check_hazard(burst, writes, "a read", "a write");
            reads.push_back(burst);
        }
        if (inputs.aw.valid && outputs.awready) {
            Burst burst = accept(inputs.aw, "write", options.error_on_write);
            check_hazard(burst, reads, "a write", "a read");
            check_hazard(burst, writes, "a write", "another write");
            writes.push_back(burst);
        }
        if (inputs.wvalid && outputs.wready)
            beats.push_back({inputs.wdata, inputs.wstrb, inputs.wlast, now});
        write_beats();
        if (outputs.rvalid && inputs.rready) {
            outputs.rvalid = false;
            // The earliest cycle of the next beat; a new burst does not wait for the interval.
            beat_due = now + (outputs.rlast ? 1 : options.beat_interval);
            if (outputs.rlast) {
                beat_index = 0;
                reads.pop_front();
            } else {
                beat_index += 1;
            }
        }
        if (outputs.bvalid && inputs.bready) {
            outputs.bvalid = false;
            writes.pop_front();
        }
        before = inputs;
        before_outputs = outputs;
    }

    void check_reset(const Inputs &inputs) const {
        if (inputs.ar.valid || inputs.aw.valid || inputs.wvalid)
            violate(since(), "a valid of m_axi is high during reset");
    }

    // Violations name cycles counted from this one.
    void set_origin(uint64_t cycle) { origin = cycle; }

    bool quiet() const { return reads.empty() && writes.empty() && beats.empty(); }

    // Everything but the image and the options, in the order in which a checkpoint keeps it.
    template <typename Archive> void archive(Archive &archive) {
        archive(random, stall_chance, now, origin, outputs, before_outputs, before, reads, writes,
                beats, beat_index, beat_due);
    }

private:
    enum Channel { AR, R, AW, W, B, CHANNELS };

    struct Burst {
        uint64_t offset;      // from the start of the image
        uint32_t address, beats;
        uint64_t accepted;    // cycle of the address handshake
        bool fails;
        uint32_t written;     // beats of data so far, if this is a write
        uint64_t finished;    // cycle in which both address and data were there

        bool complete() const { return written == beats; }
        uint64_t end() const { return offset + uint64_t(beats) * BEAT_BYTES; }
    };

    struct Beat {
        Data data;
        uint32_t strobe;
        bool last;
        uint64_t accepted;
    };

    int64_t since() const { return static_cast<int64_t>(now - origin); }

    bool stalls(Channel channel) {
        return stall_chance[channel] && random.chance(stall_chance[channel]);
    }

    Burst accept(const Address &a, const char *what, bool may_fail) const {
        unsigned size = 0;
        while ((1u << size) < BEAT_BYTES)
            size += 1;
        const uint32_t count = a.length + 1u;
        const uint64_t last = uint64_t(a.address) + uint64_t(count) * BEAT_BYTES - 1;
        if (a.size != size || a.burst != 1)
            violate(since(), "%s burst at 0x%08x: size %u and burst %u, must be %u and 1 (INCR)", what,
                    a.address, a.size, a.burst, size);
        if (a.id != 0)
            violate(since(), "%s burst at 0x%08x: identifier %u, must be 0", what, a.address, a.id);
        if (a.address % BEAT_BYTES)
            violate(since(), "%s burst at 0x%08x: not aligned to %u bytes", what, a.address,
                    BEAT_BYTES);
        if (a.address >> 12 != last >> 12)
            violate(since(), "%s burst at 0x%08x of %u beats crosses a 4 KiB boundary", what,
                    a.address, count);
        if (a.address < base_address || last - base_address >= byte_count)
            violate(since(), "%s burst at 0x%08x of %u beats is outside the memory, 0x%08x..0x%08llx",
                    what, a.address, count, base_address,
                    static_cast<unsigned long long>(base_address + byte_count - 1));
        const bool touches = options.error_address >= a.address && options.error_address <= last;
        return {a.address - base_address, a.address, count, now, may_fail && touches, 0, 0};
    }

    void check_hazard(const Burst &burst, const std::deque<Burst> &others, const char *what,
                      const char *other_what) const {
        if (!options.check_hazards)
            return;
        for (const Burst &other : others)
            if (burst.offset < other.end() && other.offset < burst.end())
                violate(since(), "%s of 0x%08x starts before %s of 0x%08x has its response: the order "
                        "of the two is undefined", what, burst.address, other_what, other.address);
    }

    void check_stable(const Inputs &inputs) const {
        auto held = [&](const Address &was, const Address &is, bool ready, const char *name) {
            if (was.valid && !ready && !(was == is))
                violate(since(), "m_axi_%s* changed before %sready", name, name);
        };
        held(before.ar, inputs.ar, before_outputs.arready, "ar");
        held(before.aw, inputs.aw, before_outputs.awready, "aw");
        if (before.wvalid && !before_outputs.wready &&
            !(inputs.wvalid && inputs.wlast == before.wlast && inputs.wstrb == before.wstrb &&
              inputs.wdata == before.wdata))
            violate(since(), "m_axi_w* changed before wready");
    }

    // Give buffered beats to the bursts that they belong to; either may come first.
    void write_beats() {
        for (Burst &burst : writes) {
            while (!burst.complete() && !beats.empty()) {
                const Beat &beat = beats.front();
                if (beat.last != (burst.written == burst.beats - 1))
                    violate(since(), "wlast is %u in beat %u of the %u beats at 0x%08x", beat.last,
                            burst.written, burst.beats, burst.address);
                uint8_t *at = bytes + burst.offset + uint64_t(burst.written) * BEAT_BYTES;
                for (unsigned i = 0; i < BEAT_BYTES; ++i)
                    if (!burst.fails && (beat.strobe >> i & 1))
                        at[i] = beat.data[i];
                burst.written += 1;
                burst.finished = std::max(burst.accepted, beat.accepted);
                beats.pop_front();
            }
            if (beats.empty())
                break;
        }
    }

    uint8_t *bytes = nullptr;
    uint64_t byte_count = 0;
    uint32_t base_address = 0;
    MemoryOptions options = {};
    Random random{0};
    std::array<uint32_t, CHANNELS> stall_chance = {};

    uint64_t now = 0, origin = 0;
    Outputs outputs = {}, before_outputs = {};
    Inputs before = {};
    std::deque<Burst> reads, writes;  // accepted, not yet answered
    std::deque<Beat> beats;           // data that came before its address
    uint32_t beat_index = 0;          // next beat of reads.front()
    uint64_t beat_due = 0;            // earliest cycle of that beat
};

}  // namespace tilewright
