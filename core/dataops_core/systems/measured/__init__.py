"""Stages with progress and backlog as plain values, from a document, a program's output, or a query's row."""
