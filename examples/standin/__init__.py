"""Recorded answers of a larger open model, which stand in for a cloud where no key is at hand."""
