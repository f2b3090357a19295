"""Plugs for orchestrators. The core imports none of them, and each needs its extra.

`command` runs ``linreg-dist`` as a process and `outcome` says what its end means; all of them share the two.
"""
