"""Sufficient statistics and what follows from them, without reading the data again.

``moments`` (and ``kernel``, its hot loop) sum blocks of rows; ``artefact`` keeps the sums in a file;
``tsqr`` is the more accurate second pass. ``solve`` turns either into coefficients, by way of ``systems``;
``inference`` gives their standard errors, ``robust`` those that need a second pass; ``penalised`` (and
``lasso``) solves for penalties and ``crossval`` chooses one.
"""
