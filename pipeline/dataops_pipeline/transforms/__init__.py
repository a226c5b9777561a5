"""Pure functions from data frames to data frames: no session, no input or output, no clock."""
