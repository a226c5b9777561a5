"""HTTP, TLS and credentials: what every client of a web service shares."""
