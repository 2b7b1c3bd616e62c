"""One mutation at a time in the maths, and whether the tests notice: `make mutation`."""
