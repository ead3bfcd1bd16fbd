"""Copies of the accumulators, which leave as shift chains while the array goes on."""

from amaranth.hdl import Signal, signed

__all__ = ["copy_accumulators"]


def copy_accumulators(m, config, acc, control):
    """Copy the accumulators at a capture; rows that share a requantizer are a chain.

    Where two words of results leave in a cycle, each row has a chain of even pixels and one of odd
    pixels, whose heads are its first two copies.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    acc : array of rows x cols signed(acc_width)
    control : FanoutTree or Fanout; for each row ``capture`` first and, where two words leave,
        ``pair`` fourth

    Returns
    -------
    a register for each row and column
    """
    share, words = config.rows_per_requantizer, config.result_words
    rows, cols = config.rows, config.cols
    copies = [
        [
            Signal(signed(config.acc_width), name=f"copy_{k}_{j}", reset_less=True)
            for j in range(cols)
        ]
        for k in range(rows)
    ]
    for k in range(rows):
        both_left = _both_left(m, k, control.o[k]) if words == 2 else None
        for j in range(cols):
            if k % share < share - 1:
                successor = copies[k + 1][j]
            elif j + words < cols:
                successor = copies[k - k % share][j + words]
            else:
                # Terms are needed once for each column of the tiles, 16 bits for both bytes.
                again = config.partial_depth or config.wide_maps
                successor = copies[k - k % share][0] if again else None
            with m.If(control.o[k][0]):
                m.d.sync += copies[k][j].eq(acc[k][j])
            if successor is not None:
                with m.Elif(both_left) if words == 2 else m.Else():
                    m.d.sync += copies[k][j].eq(successor)
    return copies


def _both_left(m, k, control):
    """Return whether row k's pair of pixels has left: together, or in a second cycle."""
    pair, second, left = (Signal(name=f"{name}_{k}") for name in ("pair", "second", "left"))
    m.d.sync += second.eq(~second)
    with m.If(control[0]):
        m.d.sync += [pair.eq(control[3]), second.eq(0)]
    m.d.comb += left.eq(pair | second)
    return left
