"""The commands `gas-train` and `gas-predict`: from the words typed to one call, and back to an exit code."""
