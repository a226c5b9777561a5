"""The type of a check, checks of every component, and kinds of probe failures."""
