"""What the user of the local stack reads when it cannot go on."""

from __future__ import annotations


class LocalError(Exception):
    """One clear line: what is wrong, where, and the mend."""
