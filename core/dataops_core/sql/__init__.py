"""The parts of a SQL editor that need no screen: statements, completion, results, plans and history."""
