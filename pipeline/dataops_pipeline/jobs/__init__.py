"""The jobs of Boreal Bridge; each module is a program of its own."""
