// What tilewright.hdl.fanout.Fanout uses of nextpnr's ECP5 register, for simulation: no enable, no
// reset, initially 0. Source: Yosys, techlibs/ecp5/cells_ff.vh.
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
