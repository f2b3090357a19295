"""Reader processes: row groups decoded and summed apart from the caller, one at a time each.

A reader is a light process: it loads neither torch nor ray. It is started as a program of our own over pipes,
so it never imports the caller's ``__main__``: scripts without a guard, notebooks and Ray workers all work. It
ends with its caller, however that ends, and leaves nothing behind.
"""
