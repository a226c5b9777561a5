"""The pipeline model: observations in, states and a verdict out. Pure functions only."""
