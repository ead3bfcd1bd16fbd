// What tilewright.hdl.families.gowin uses of the GW2A's primitives, for simulation.

// A multiplier with an input register for each operand, a register behind the product, and a sign
// input per operand. Source: Gowin UG287, Gowin DSP User Guide.
module MULT18X18 (
    input [17:0] A, B, SIA, SIB,
    input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
    output [35:0] DOUT,
    output [17:0] SOA, SOB
);
    parameter AREG = 1'b0;
    parameter BREG = 1'b0;
    parameter OUT_REG = 1'b0;
    parameter PIPE_REG = 1'b0;
    parameter ASIGN_REG = 1'b0;
    parameter BSIGN_REG = 1'b0;
    parameter SOA_REG = 1'b0;
    parameter MULT_RESET_MODE = "SYNC";

    reg [17:0] a, b;
    reg signed [37:0] p;

    // Signs have no register: they are constants.
    wire signed [18:0] signed_a = {ASIGN & a[17], a};
    wire signed [18:0] signed_b = {BSIGN & b[17], b};

    always @(posedge CLK)
        if (CE) begin
            a <= A;
            b <= B;
            p <= signed_a * signed_b;
        end

    assign DOUT = p[35:0];
    assign SOA = a;
    assign SOB = b;
endmodule

// A flip-flop: no enable, no reset, initially 0. Source: Yosys, techlibs/gowin/cells_sim.v.
module DFF (
    input CLK, D,
    output reg Q
);
    parameter INIT = 1'b0;

    initial Q = INIT;
    always @(posedge CLK) Q <= D;
endmodule
