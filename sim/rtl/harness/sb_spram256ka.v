// What tilewright.boards.spram.LargeMemory uses of the iCE40UP5K's SB_SPRAM256KA, for simulation:
// always on, and what is read while a word is written is not defined. Source: Lattice FPGA-TN-02022,
// iCE40 SPRAM Usage Guide.
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
