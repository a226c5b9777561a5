"""The only home of vendor SDKs; every call has a deadline and raises our own errors."""

from dataops_core.clients import lazy_imports

lazy_imports.install()
