"""One module per family of datasets: each turns raw files (or random numbers) into a `Graph`."""
