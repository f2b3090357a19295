"""L-BFGS: full-batch iterations for smooth objectives without a closed form."""
