"""Parts of `predict`: files that appear whole, and workers that share them."""
