"""What a check is, what can be wrong with every component, and how a probe fails."""
