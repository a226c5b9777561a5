"""Check tokens and passwords without delaying other requests.

bcrypt is slow by design: 100 wrong passwords per second would take several cores. So results are cached, and failed
checks have a budget of CPU time. Credentials that were rejected unchecked have a separate budget when they are sent
again: a scraper repeats its credentials, a guessing client does not.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from dataops_exporter.web import Guard, WebConfigFile
from dataops_exporter.workers import Workers

OPEN = ("/-/healthy", "/-/ready")
"""Pages without credentials: the kubelet has none, and these pages show no data."""
REMEMBERED = 4096
"""Maximum number of cached valid credentials, and of cached invalid ones."""
POSTPONED = 16_384
"""Maximum number of cached unchecked credentials: those of the last minutes at 100 per second."""
SHARE = 0.25
"""Share of one core for failed checks, and again for postponed ones."""
SAVED = 2.0
"""Maximum CPU seconds that the budget accumulates without failed checks."""
AT_ONCE = 8
"""Maximum number of checks that run or wait for the hashing thread."""
PASSWORD_BYTES = 72
"""Bytes of a password that bcrypt hashes."""


class Access(Enum):
    """The result of the check of a request's credentials."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """The credentials are missing or wrong."""
    TOO_MANY = "too many"
    """The credentials were not checked, because too many earlier ones were wrong."""


class Doorkeeper:
    """Checks the credentials of requests; used by one event loop.

    It keeps no password: results are cached by a keyed hash of user, password and the user's hash in the web
    configuration, so a changed hash invalidates earlier results. An unknown user is checked against the hash of a known
    one, which takes the same time.

    Args:
        web: The web configuration.
        clock: A clock in seconds.
    """

    def __init__(self, web: WebConfigFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._right = _Recent(REMEMBERED)
        self._wrong = _Recent(REMEMBERED)
        self._postponed = _Recent(POSTPONED)
        self._budgets = {returned: _Budget(clock) for returned in (False, True)}
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._hashing = Workers("password", at_once=1, waiting=2 * AT_ONCE, nice=True)

    async def check(self, authorization: str) -> Access:
        """Return the result for an `Authorization` header."""
        guard = self._web.current()
        if guard.challenge is None:
            return Access.ADMITTED
        scheme, _, credentials = authorization.partition(" ")
        match scheme.lower():
            case "bearer":
                return Access.ADMITTED if guard.has_token(credentials.strip()) else Access.REFUSED
            case "basic" if guard.users:
                return await self._check_password(guard, credentials)
            case _:
                return Access.REFUSED

    async def _check_password(self, guard: Guard, credentials: str) -> Access:
        try:
            user, colon, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
        except ValueError:  # not base64, not ASCII, not UTF-8
            return Access.REFUSED
        if not colon or "\0" in user + password:  # bcrypt truncates at a NUL, or rejects it
            return Access.REFUSED
        hashed = guard.users.get(user) or self._stand_in(guard, user)
        known = self._digest(user, hashed, password)
        if known in self._right:
            return Access.ADMITTED
        if known in self._wrong:
            return Access.REFUSED
        if known not in self._running:
            budget = self._budgets[known in self._postponed]
            if len(self._running) >= AT_ONCE or not budget.is_left:
                self._postponed.add(known)
                return Access.TOO_MANY
            work = self._hash(guard, known, user in guard.users, (password, hashed), budget)
            self._running[known] = asyncio.create_task(work)
        right = await asyncio.shield(self._running[known])
        return Access.ADMITTED if right else Access.REFUSED

    async def _hash(self, guard: Guard, known: bytes, exists: bool, compared: tuple[str, str], budget: _Budget) -> bool:
        password, hashed = compared

        def hash_() -> tuple[bool, float]:
            began = self._clock()
            same = guard.has_hash(password.encode()[:PASSWORD_BYTES], hashed)
            return same, self._clock() - began

        try:
            same, took = await self._hashing.run(hash_)
        finally:
            del self._running[known]
        right = same and exists
        (self._right if right else self._wrong).add(known)
        if not right:
            budget.spend(took)
        return right

    def _stand_in(self, guard: Guard, user: str) -> str:
        """Return the hash of a known user, always the same one for a name, because hashes differ in cost."""
        hashes = sorted(guard.users.values())
        return hashes[int.from_bytes(self._digest(user)) % len(hashes)]

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\0".join(parts).encode(errors="surrogatepass"), "sha256")


class _Recent:
    """The newest keys, up to a maximum number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def add(self, key: bytes) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def __contains__(self, key: bytes) -> bool:
        result = key in self._keys
        if result:
            self._keys.move_to_end(key)
        return result


class _Budget:
    """The budget of CPU seconds for failed checks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = SAVED
        self._at = clock()

    @property
    def is_left(self) -> bool:
        now = self._clock()
        self._left = min(SAVED, self._left + SHARE * (now - self._at))
        self._at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        self._left -= seconds
