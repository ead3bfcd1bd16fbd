// The ECP5's multiplexer behind two PFUMX, for simulation. Source: Yosys, techlibs/lattice/common_sim.vh.
module L6MUX21 (
    input D0, D1, SD,
    output Z
);
    assign Z = SD ? D1 : D0;
endmodule
