"""The systems that the product observes, one folder each.

Vendor SDKs are imported only in this package. Every call has a deadline and raises an error of `dataops_core.errors`.
"""

from dataops_core.systems import lazy_imports

lazy_imports.install()
