"""How fast linreg_dist trains, next to a bare scan of the data and to other ways of doing the same."""
