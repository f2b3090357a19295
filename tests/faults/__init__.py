"""Real runs that are killed at random moments, and must end as the undisturbed ones do.

``python -m tests.faults --rounds 100 --seed 0`` (``make soak``) plays rounds and writes a line of JSON for
each. A round is drawn from the seed and its number alone, so that any of them can be played again by itself:
``--first 17 --rounds 1``.
"""
