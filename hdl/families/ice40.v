// What tilewright.hdl.families.ice40 uses of the iCE40 UltraPlus's primitives, for simulation.

// One product of 16-bit operands with a register behind it, or two of 8-bit operands, each with a
// register and a registered addend, and a register behind the sum. Source: Lattice FPGA-TN-02007, DSP
// Function Usage Guide for iCE40 Devices.
module SB_MAC16 (
    input CLK, CE,
    input [15:0] A, B, C, D,
    input AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT,
    input OLOADTOP, OLOADBOT, ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT,
    input CI, ACCUMCI, SIGNEXTIN,
    output [31:0] O
);
    parameter A_REG = 1'b0;
    parameter B_REG = 1'b0;
    parameter C_REG = 1'b0;
    parameter D_REG = 1'b0;
    parameter TOP_8x8_MULT_REG = 1'b0;
    parameter BOT_8x8_MULT_REG = 1'b0;
    parameter PIPELINE_16x16_MULT_REG2 = 1'b0;
    parameter TOPOUTPUT_SELECT = 2'b00;
    parameter BOTOUTPUT_SELECT = 2'b00;
    parameter TOPADDSUB_LOWERINPUT = 2'b00;
    parameter BOTADDSUB_LOWERINPUT = 2'b00;
    parameter TOPADDSUB_UPPERINPUT = 1'b0;
    parameter BOTADDSUB_UPPERINPUT = 1'b0;
    parameter MODE_8x8 = 1'b0;
    parameter A_SIGNED = 1'b0;
    parameter B_SIGNED = 1'b0;

    reg [15:0] a, b, c, d;
    reg signed [33:0] whole;
    reg signed [17:0] top, bottom;
    reg [15:0] top_sum, bottom_sum;

    wire signed [16:0] whole_a = {A_SIGNED & a[15], a};
    wire signed [16:0] whole_b = {B_SIGNED & b[15], b};
    wire signed [8:0] top_a = {A_SIGNED & a[15], a[15:8]};
    wire signed [8:0] top_b = {B_SIGNED & b[15], b[15:8]};
    wire signed [8:0] bottom_a = {A_SIGNED & a[7], a[7:0]};
    wire signed [8:0] bottom_b = {B_SIGNED & b[7], b[7:0]};

    always @(posedge CLK) begin
        a <= A;
        b <= B;
        c <= C;
        d <= D;
        whole <= whole_a * whole_b;
        top <= top_a * top_b;
        bottom <= bottom_a * bottom_b;
        top_sum <= top[15:0] + c;
        bottom_sum <= bottom[15:0] + d;
    end

    assign O = MODE_8x8 ? {top_sum, bottom_sum} : whole[31:0];
endmodule

// A memory with one port, always on; what is read while a word is written is not defined.
// Source: Lattice FPGA-TN-02022, iCE40 SPRAM Usage Guide.
module SB_SPRAM256KA (
    input [13:0] ADDRESS,
    input [15:0] DATAIN,
    input [3:0] MASKWREN,
    input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
    output reg [15:0] DATAOUT
);
    reg [15:0] words [0:16383];

    always @(posedge CLOCK)
        if (CHIPSELECT) begin
            if (WREN) begin
                if (MASKWREN[0]) words[ADDRESS][3:0] <= DATAIN[3:0];
                if (MASKWREN[1]) words[ADDRESS][7:4] <= DATAIN[7:4];
                if (MASKWREN[2]) words[ADDRESS][11:8] <= DATAIN[11:8];
                if (MASKWREN[3]) words[ADDRESS][15:12] <= DATAIN[15:12];
                DATAOUT <= 16'haaaa;
            end else
                DATAOUT <= words[ADDRESS];
        end
endmodule
