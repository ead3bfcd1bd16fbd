// When commands start and end, by the engine's trace ports.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tilewright {

struct Trace {
    static constexpr unsigned UNITS = 3;

    int64_t go = 0;  // cycle of the last trace_go; the others count from it
    std::array<std::vector<int64_t>, UNITS> starts, dones;

    // Returns whether a run starts in this cycle.
    template <typename Top> bool record(const Top &top, uint64_t clock) {
        if (top.trace_go) {
            go = int64_t(clock);
            for (unsigned unit = 0; unit < UNITS; ++unit) {
                starts[unit].clear();
                dones[unit].clear();
            }
        }
        if (top.trace_start | top.trace_done)
            for (unsigned unit = 0; unit < UNITS; ++unit) {
                if (top.trace_start >> unit & 1)
                    starts[unit].push_back(int64_t(clock) - go);
                if (top.trace_done >> unit & 1)
                    dones[unit].push_back(int64_t(clock) - go);
            }
        return top.trace_go;
    }

    // Copies at most `capacity` cycle numbers to `out`; returns how many there are.
    int64_t copy(unsigned kind, unsigned unit, int64_t *out, uint64_t capacity) const {
        const auto &events = kind ? dones.at(unit) : starts.at(unit);
        std::copy_n(events.begin(), std::min<uint64_t>(capacity, events.size()), out);
        return int64_t(events.size());
    }
};

}  // namespace tilewright
