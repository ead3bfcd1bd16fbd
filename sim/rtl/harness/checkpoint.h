// The bench's own state in the file of a checkpoint, behind the model's.

#pragma once

#include "verilated_save.h"

#include <array>
#include <cstdint>
#include <deque>
#include <type_traits>
#include <vector>

namespace tilewright {

// Plain values go to the file byte for byte: a checkpoint is read by the build that wrote it. Derived
// has bytes(pointer, size), which moves bytes in its direction.
template <typename Derived> struct Archive {
    template <typename... Values> void operator()(Values &...values) { (one(values), ...); }

private:
    template <typename Value> void one(Value &value) {
        static_assert(std::is_trivially_copyable_v<Value>);
        static_cast<Derived *>(this)->bytes(&value, sizeof value);
    }
    template <typename Value> void one(std::deque<Value> &values) { sequence(values); }
    template <typename Value> void one(std::vector<Value> &values) { sequence(values); }
    template <typename Value, size_t N> void one(std::array<std::vector<Value>, N> &values) {
        for (auto &value : values)
            one(value);
    }
    template <typename Values> void sequence(Values &values) {
        uint64_t size = values.size();
        one(size);
        values.resize(size);  // changes nothing where the size was written
        for (auto &value : values)
            one(value);
    }
};

struct Saver : Archive<Saver> {
    VerilatedSerialize &file;

    explicit Saver(VerilatedSerialize &to) : file(to) {}
    void bytes(void *data, size_t size) { file.write(data, size); }
};

struct Restorer : Archive<Restorer> {
    VerilatedDeserialize &file;

    explicit Restorer(VerilatedDeserialize &from) : file(from) {}
    void bytes(void *data, size_t size) { file.read(data, size); }
};

}  // namespace tilewright
