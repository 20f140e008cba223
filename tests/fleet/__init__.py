"""Fleets: real processes that share tokens through a real Redis, or through real files."""
