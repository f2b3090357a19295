"""Steps on a module of the user's own."""
