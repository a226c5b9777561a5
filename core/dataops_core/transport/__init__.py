"""HTTP, TLS and credentials, shared by all clients of web services."""
