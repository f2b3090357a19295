"""Native kernels: loops over rows without the interpreter lock and without temporaries, compiled by numba.

They are pure functions of arrays and addresses. Their sums are taken over fixed tiles and added in a fixed
order, so the bits do not depend on threads, on workers or on the alignment of memory. Importing a module of
this package imports numba; import them inside functions.
"""
