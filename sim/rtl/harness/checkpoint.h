// The bench's own state in the file of a checkpoint, behind the model's.

#pragma once

#include "verilated_save.h"

#include <array>
#include <cstdint>
#include <deque>
#include <type_traits>
#include <vector>

namespace tilewright {

// Plain values go to the file byte for byte: a checkpoint is read by the build that wrote it.
struct Saver {
    VerilatedSerialize &file;

    template <typename... Values> void operator()(Values &...values) { (one(values), ...); }

    template <typename Value> void one(Value &value) {
        static_assert(std::is_trivially_copyable_v<Value>);
        file.write(&value, sizeof value);
    }
    template <typename Value> void one(std::deque<Value> &values) { sequence(values); }
    template <typename Value> void one(std::vector<Value> &values) { sequence(values); }
    template <typename Value, size_t N> void one(std::array<std::vector<Value>, N> &values) {
        for (auto &value : values)
            one(value);
    }

private:
    template <typename Values> void sequence(Values &values) {
        uint64_t size = values.size();
        one(size);
        for (auto &value : values)
            one(value);
    }
};

struct Restorer {
    VerilatedDeserialize &file;

    template <typename... Values> void operator()(Values &...values) { (one(values), ...); }

    template <typename Value> void one(Value &value) {
        static_assert(std::is_trivially_copyable_v<Value>);
        file.read(&value, sizeof value);
    }
    template <typename Value> void one(std::deque<Value> &values) { sequence(values); }
    template <typename Value> void one(std::vector<Value> &values) { sequence(values); }
    template <typename Value, size_t N> void one(std::array<std::vector<Value>, N> &values) {
        for (auto &value : values)
            one(value);
    }

private:
    template <typename Values> void sequence(Values &values) {
        uint64_t size = 0;
        one(size);
        values.resize(size);
        for (auto &value : values)
            one(value);
    }
};

}  // namespace tilewright
