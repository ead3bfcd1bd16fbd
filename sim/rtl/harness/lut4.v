// The ECP5's look-up table, for simulation. Source: Yosys, techlibs/lattice/common_sim.vh.
module LUT4 (
    input A, B, C, D,
    output Z
);
    parameter INIT = 16'h0000;

    assign Z = INIT[{D, C, B, A}];
endmodule
