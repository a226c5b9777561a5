"""Evaluate the health of pipelines: from observations to states and a verdict. Pure functions only."""
