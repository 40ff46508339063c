"""gas-train: train message-passing GNNs on graphs larger than the device (GNNAutoScale, ICML 2021)."""

__version__ = "0.1.0"
