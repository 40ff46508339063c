"""The `tables` stage: rows by node that outlive a step, wherever they are; the streams that carry them."""
