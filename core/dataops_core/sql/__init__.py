"""What a SQL editor needs, without a screen: statements, completion, results, plans, history."""
