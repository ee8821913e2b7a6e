"""LlamaIndex's `RouterQueryEngine` between an edge and a cloud engine."""
