"""The local stack: real components on 127.0.0.1, without containers."""
