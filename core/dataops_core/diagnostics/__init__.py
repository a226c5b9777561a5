"""Step-by-step diagnoses: `doctor`, `monitoring verify` and `config init`."""
