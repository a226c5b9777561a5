"""The step by step diagnoses: `doctor`, `monitoring verify` and `config init`."""
