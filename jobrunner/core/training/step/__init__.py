"""One optimiser step over all ranks: how gradients are exchanged, and how weights are updated."""
