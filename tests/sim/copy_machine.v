// A stand-in for the engine, to test the bench: reads two bursts of COUNT beats that begin at
// BASE + PROGRAM, then writes them 2048 bytes further on.
//
// Trace: load starts with the first read address and is done with the last read beat; compute
// starts with the second read address and is done with the last beat of the first burst; store
// starts with the first write address and is done with the last response.
//
// WATCHDOG chooses a rule to break: see FAULT_*.

module tilewright_engine #(parameter BYTES = `BYTES) (
    input clk, input rst, output reg irq,
    output trace_go, output [2:0] trace_start, output [2:0] trace_done,

    output reg m_axi_arvalid, input m_axi_arready, output [31:0] m_axi_araddr,
    output [7:0] m_axi_arlen, output [2:0] m_axi_arsize, output [1:0] m_axi_arburst,
    input m_axi_rvalid, output m_axi_rready, input [8*BYTES-1:0] m_axi_rdata,
    input [1:0] m_axi_rresp, input m_axi_rlast,
    output reg m_axi_awvalid, input m_axi_awready, output [31:0] m_axi_awaddr,
    output [7:0] m_axi_awlen, output [2:0] m_axi_awsize, output [1:0] m_axi_awburst,
    output reg m_axi_wvalid, input m_axi_wready, output [8*BYTES-1:0] m_axi_wdata,
    output [BYTES-1:0] m_axi_wstrb, output m_axi_wlast,
    input m_axi_bvalid, output m_axi_bready, input [1:0] m_axi_bresp,

    input s_axil_awvalid, output s_axil_awready, input [7:0] s_axil_awaddr,
    input s_axil_wvalid, output s_axil_wready, input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb,
    output reg s_axil_bvalid, input s_axil_bready, output [1:0] s_axil_bresp,
    input s_axil_arvalid, output s_axil_arready, input [7:0] s_axil_araddr,
    output reg s_axil_rvalid, input s_axil_rready, output reg [31:0] s_axil_rdata,
    output [1:0] s_axil_rresp
);
    localparam FAULT_WLAST = 1, FAULT_UNSTABLE = 2, FAULT_SIZE = 3, FAULT_HANG = 4,
               FAULT_HAZARD = 5;
    localparam SIZE = $clog2(BYTES);

    reg [31:0] base, program_offset, count, fault, cycles;
    reg [7:0] status, result;
    reg running, booting;
    reg [8*BYTES-1:0] data [0:255];
    reg [8:0] got, sent, total;
    reg [1:0] ar_done, aw_done, b_done;

    // Registers. A write waits until address and data are both there.
    wire write = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
    assign s_axil_awready = write;
    assign s_axil_wready = write;
    assign s_axil_bresp = 0;
    assign s_axil_arready = ~s_axil_rvalid;
    assign s_axil_rresp = 0;
    wire start = write & s_axil_awaddr == 8'h0c & s_axil_wdata[0];
    wire soft_reset = write & s_axil_awaddr == 8'h0c & s_axil_wdata[1];

    // Bus.
    wire [31:0] origin = base + program_offset;
    wire [31:0] burst_bytes = count << SIZE;
    assign m_axi_araddr = origin + (ar_done[0] ? burst_bytes : 0);
    assign m_axi_arlen = count - 1;
    assign m_axi_arsize = fault == FAULT_SIZE ? SIZE - 1 : SIZE;
    assign m_axi_arburst = 1;
    assign m_axi_rready = running;
    assign m_axi_awaddr = origin + (aw_done[0] ? burst_bytes : 0)
                        + (fault == FAULT_HAZARD ? 0 : 2048)
                        + (fault == FAULT_UNSTABLE ? cycles[7:0] * BYTES : 0);
    assign m_axi_awlen = count - 1;
    assign m_axi_awsize = SIZE;
    assign m_axi_awburst = 1;
    assign m_axi_wdata = data[sent];
    assign m_axi_wstrb = {BYTES{1'b1}};
    assign m_axi_wlast = sent == count - 1 | sent == 2 * count - (fault == FAULT_WLAST ? 2 : 1);
    assign m_axi_bready = running;

    wire ar = m_axi_arvalid & m_axi_arready, r = m_axi_rvalid & m_axi_rready;
    wire aw = m_axi_awvalid & m_axi_awready, w = m_axi_wvalid & m_axi_wready;
    wire b = m_axi_bvalid & m_axi_bready;
    wire bad_r = r & m_axi_rresp != 0, bad_b = b & m_axi_bresp != 0;
    wire writes_go = result == 2 & (fault == FAULT_HAZARD ? ar_done[1] : got == total);
    assign trace_go = booting;
    assign trace_start = {aw & ~aw_done[0], ar & ar_done[0], ar & ~ar_done[0]};
    assign trace_done = {b & b_done[0], r & m_axi_rlast & got < count, r & m_axi_rlast & got >= count};

    always @(posedge clk) begin
        booting <= start;
        if (write) case (s_axil_awaddr)
            8'h14: if (s_axil_wdata[0]) irq <= 0;
            8'h18: base <= s_axil_wdata;
            8'h1c: program_offset <= s_axil_wdata;
            8'h20: count <= s_axil_wdata;
            8'h24: fault <= s_axil_wdata;
        endcase
        if (write) s_axil_bvalid <= 1;
        else if (s_axil_bready) s_axil_bvalid <= 0;
        if (s_axil_arvalid & s_axil_arready) begin
            s_axil_rvalid <= 1;
            case (s_axil_araddr)
                8'h10: s_axil_rdata <= status;
                8'h18: s_axil_rdata <= base;
                8'h40: s_axil_rdata <= cycles;
                8'h60: s_axil_rdata <= got * BYTES;
                8'h64: s_axil_rdata <= sent * BYTES;
                default: s_axil_rdata <= 0;
            endcase
        end else if (s_axil_rready) s_axil_rvalid <= 0;

        if (booting) begin
            running <= 1;
            status <= 1;
            total <= 2 * count;
            result <= 2;
            m_axi_arvalid <= fault != FAULT_HANG;
            {got, sent, ar_done, aw_done, b_done, cycles} <= 0;
        end
        if (running) begin
            cycles <= cycles + 1;
            if (ar) begin
                ar_done <= {ar_done[0], 1'b1};
                if (ar_done[0]) m_axi_arvalid <= 0;
            end
            if (r) begin
                data[got] <= m_axi_rdata;
                got <= got + 1;
            end
            if (writes_go & ~m_axi_awvalid & ~aw_done[1]) begin
                m_axi_awvalid <= 1;
                if (sent == 0) m_axi_wvalid <= 1;
            end
            if (aw) begin
                aw_done <= {aw_done[0], 1'b1};
                if (aw_done[0]) m_axi_awvalid <= 0;
            end
            if (w) begin
                sent <= sent + 1;
                if (sent == total - 1) m_axi_wvalid <= 0;
            end
            if (b) b_done <= {b_done[0], 1'b1};
            if (bad_r) result <= 5;
            if (bad_b) result <= 6;
            if (b & b_done[0] | result == 5 & got == total) begin
                running <= 0;
                irq <= 1;
                status <= bad_b ? 6 : result;
            end
        end
        if (rst | soft_reset) begin
            {irq, running, booting, status, s_axil_bvalid, s_axil_rvalid} <= 0;
            {m_axi_arvalid, m_axi_awvalid, m_axi_wvalid, ar_done, aw_done, b_done} <= 0;
            {got, sent, cycles} <= 0;
            if (soft_reset) s_axil_bvalid <= 1;
        end
    end
endmodule
