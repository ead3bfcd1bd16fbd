// The ECP5's multiplexer behind two look-up tables, for simulation. Source: Yosys, techlibs/lattice/common_sim.vh.
module PFUMX (
    input ALUT, BLUT, C0,
    output Z
);
    assign Z = C0 ? ALUT : BLUT;
endmodule
