// Functions that Python calls.

#pragma once

#include <cstdint>
#include <exception>

#define ENTRY extern "C" __attribute__((visibility("default")))

namespace tilewright {

// Every entry point returns its value, or -1 with the reason in tw_error().
template <typename Bench, typename Action> int64_t guarded(void *handle, Action action) {
    auto &bench = *static_cast<Bench *>(handle);
    try {
        return action(bench);
    } catch (const std::exception &exception) {
        bench.error = exception.what();
        return -1;
    }
}

}  // namespace tilewright
