// What tilewright.hdl.families.ecp5 uses of the ECP5's primitives, for simulation.

// A multiplier: an input and an output register on CLK0, a sign input per operand.
// Source: Lattice FPGA-TN-02205, ECP5 and ECP5-5G sysDSP Usage Guide.
module MULT18X18D (
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input CLK0, CLK1, CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18,
    P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35,
    output SIGNEDP
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTC_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter GSR = "ENABLED";
    parameter RESETMODE = "SYNC";

    reg signed [18:0] a, b;
    reg signed [37:0] p;

    always @(posedge CLK0) begin
        a <= {SIGNEDA & A17,
            A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
        b <= {SIGNEDB & B17,
            B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
        p <= a * b;
    end

    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = p[35:0];
    assign SIGNEDP = SIGNEDA | SIGNEDB;
endmodule

// nextpnr's register: no enable, no reset, initially 0. Source: Yosys, techlibs/ecp5/cells_ff.vh.
module TRELLIS_FF (
    input CLK, LSR, DI,
    output reg Q
);
    parameter GSR = "ENABLED";
    parameter CEMUX = "1";
    parameter CLKMUX = "CLK";
    parameter LSRMUX = "LSR";
    parameter REGSET = "RESET";

    initial Q = 1'b0;
    always @(posedge CLK) Q <= DI;
endmodule

// A look-up table. Source: Yosys, techlibs/lattice/common_sim.vh.
module LUT4 (
    input A, B, C, D,
    output Z
);
    parameter INIT = 16'h0000;

    assign Z = INIT[{D, C, B, A}];
endmodule

// The multiplexer behind two look-up tables. Source: Yosys, techlibs/lattice/common_sim.vh.
module PFUMX (
    input ALUT, BLUT, C0,
    output Z
);
    assign Z = C0 ? ALUT : BLUT;
endmodule

// The multiplexer behind two PFUMX. Source: Yosys, techlibs/lattice/common_sim.vh.
module L6MUX21 (
    input D0, D1, SD,
    output Z
);
    assign Z = SD ? D1 : D0;
endmodule
