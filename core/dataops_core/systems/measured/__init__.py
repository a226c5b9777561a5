"""Stages whose progress and backlog come as plain values: of a document, a program's output, or a query's row."""
