"""The first pass over the data: lanes, levels, checks, and the memory that it takes."""
