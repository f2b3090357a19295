"""What the pass over the rows after the fit says, on the page: residuals, single rows, features."""
