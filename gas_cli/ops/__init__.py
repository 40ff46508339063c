"""The hot loops: sparse-dense products and counter-based dropout, each with a slow twin that the tests compare against."""
