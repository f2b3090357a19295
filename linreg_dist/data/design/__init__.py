"""Kinds of columns: how named columns of the data become the columns of the design matrix.

`kind` says what a kind is, `numeric` and `categorical` are one each, and `kinds` lists them.
"""
