"""One run from start to end: its folder, its lock, Ray, and what it leaves."""
