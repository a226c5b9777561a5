"""The only home of vendor SDKs; every call has a deadline and raises our own errors."""
