"""What `predict` is made of: files that appear whole, and workers that share them."""
