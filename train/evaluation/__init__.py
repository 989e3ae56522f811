"""How good a network is on labelled images: what it answered, every figure made from it, and two networks compared."""
