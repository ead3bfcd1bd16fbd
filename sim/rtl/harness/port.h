// What is behind the engine's bus: the judge of AXI, or a chip at the pins of its controller
// (compiled with SDRAM).
//
// drive() sets the top's inputs for a cycle, observe() looks at its outputs when they have settled.

#pragma once

#ifdef SDRAM
#include "sdram.h"
#else
#include "memory.h"
#endif

namespace tilewright {

#ifdef SDRAM

template <typename Top> class Port {
public:
    void configure(uint8_t *image, uint64_t size, uint32_t base, const MemoryOptions &,
                   const ChipOptions &chip) {
        if (base)
            throw std::runtime_error("the memory behind an SDRAM controller begins at 0");
        memory.configure(image, size, chip);
    }

    void tie_off(Top &top) { top.host_valid = top.host_write = top.host_addr = top.host_data = 0; }
    void forget() {}
    bool ready(const Top &top) const { return top.ready; }
    bool quiet() const { return true; }
    void set_origin(uint64_t cycle) { memory.set_origin(cycle); }
    void drive(Top &top, uint64_t) { top.sdram_dq_i = memory.driven(); }

    void observe(const Top &top, bool) {
        memory.observe({unsigned(top.sdram_ras_n << 2 | top.sdram_cas_n << 1 | top.sdram_we_n),
                        top.sdram_ba, top.sdram_a, top.sdram_dqm, top.sdram_dq_o,
                        bool(top.sdram_dq_oe)});
    }

    template <typename Archive> void archive(Archive &archive) { memory.archive(archive); }

private:
    Sdram memory;
};

#else

struct ChipOptions {};

template <typename Top> class Port {
public:
    void configure(uint8_t *image, uint64_t size, uint32_t base, const MemoryOptions &options,
                   const ChipOptions &) {
        memory.configure(image, size, base, options);
    }

    // Identifiers are optional.
    void tie_off(Top &top) {
        if constexpr (requires { top.m_axi_rid; }) top.m_axi_rid = 0;
        if constexpr (requires { top.m_axi_bid; }) top.m_axi_bid = 0;
    }

    void forget() { memory.forget(); }
    bool ready(const Top &) const { return true; }
    bool quiet() const { return memory.quiet(); }
    void set_origin(uint64_t cycle) { memory.set_origin(cycle); }

    void drive(Top &top, uint64_t clock) {
        const auto &driven = memory.drive(clock, top.m_axi_awvalid);
        top.m_axi_arready = driven.arready;
        top.m_axi_rvalid = driven.rvalid;
        top.m_axi_rlast = driven.rlast;
        top.m_axi_rresp = driven.rresp;
        std::memcpy(&top.m_axi_rdata, driven.rdata.data(), BUS_BYTES);
        top.m_axi_awready = driven.awready;
        top.m_axi_wready = driven.wready;
        top.m_axi_bvalid = driven.bvalid;
        top.m_axi_bresp = driven.bresp;
    }

    // In reset, the valids must be low after two cycles.
    void observe(const Top &top, bool long_in_reset) {
        typename Axi::Inputs inputs = {
            {bool(top.m_axi_arvalid), top.m_axi_araddr, top.m_axi_arlen, top.m_axi_arsize,
             top.m_axi_arburst, read_id(top)},
            {bool(top.m_axi_awvalid), top.m_axi_awaddr, top.m_axi_awlen, top.m_axi_awsize,
             top.m_axi_awburst, write_id(top)},
            bool(top.m_axi_rready), bool(top.m_axi_bready),
            bool(top.m_axi_wvalid), bool(top.m_axi_wlast),
            uint32_t(top.m_axi_wstrb), {}};
        std::memcpy(inputs.wdata.data(), &top.m_axi_wdata, BUS_BYTES);
        if (!top.rst)
            memory.observe(inputs);
        else if (long_in_reset)
            memory.check_reset(inputs);
    }

    template <typename Archive> void archive(Archive &archive) { memory.archive(archive); }

private:
    using Axi = Memory<BUS_BYTES>;

    static uint8_t read_id(const Top &top) {
        if constexpr (requires { top.m_axi_arid; }) return top.m_axi_arid;
        return 0;
    }
    static uint8_t write_id(const Top &top) {
        if constexpr (requires { top.m_axi_awid; }) return top.m_axi_awid;
        return 0;
    }

    Axi memory;
};

#endif

}  // namespace tilewright
