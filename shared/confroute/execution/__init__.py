"""Carrying a decision out, the same for every framework."""
