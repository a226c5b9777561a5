"""Kerberos (SPNEGO, RFC 4559): one ticket of the service for each request, from a credential cache or a keytab."""

from __future__ import annotations

import base64
import time
import uuid
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from dataops_core.config import KerberosSettings
from dataops_core.errors import AuthenticationFailed, ClientError, ConfigError, TimedOut, Unreachable
from dataops_core.reasons import line
from dataops_core.transport.deadlines import of_request
from dataops_core.transport.worker import call_within
from dataops_core.units import duration

INSTALL = "pip install 'dataops-tui[kerberos]', which needs a C compiler and libkrb5-dev"
SKEW = 300.0
"""Maximum difference of two clocks in seconds that Kerberos accepts by default."""
_SPNEGO, _KRB5 = "1.3.6.1.5.5.2", "1.2.840.113554.1.2.2"
_KEYTAB = b"\x05"
"""First byte of a keytab."""
_TICKET_EXPIRED, _NO_CACHE_ENTRY, _KDC_UNREACHABLE, _NO_CACHE = -1765328352, -1765328243, -1765328228, -1765328189
_RENEW, _OLD_KEY = "run kinit, or set {key}.keytab", "export the keytab again, its key is not the current one"
_CLOCKS = "synchronize the clocks of this machine and of the KDC"
_KDC = "check the KDC, and its address in krb5.conf"
_HINTS = {
    -1765328378: "correct {key}.principal, or create it in the KDC",  # KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN
    -1765328377: "correct {key}.service_name and {key}.hostname",  # KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN
    -1765328366: "unlock the principal in the KDC",  # KRB5KDC_ERR_CLIENT_REVOKED
    -1765328360: _OLD_KEY,  # KRB5KDC_ERR_PREAUTH_FAILED
    -1765328353: _OLD_KEY,  # KRB5KRB_AP_ERR_BAD_INTEGRITY
    _TICKET_EXPIRED: _RENEW,
    -1765328347: _CLOCKS,  # KRB5KRB_AP_ERR_SKEW
    _NO_CACHE_ENTRY: _RENEW,
    -1765328236: _CLOCKS,  # KRB5_KDCREP_SKEW
    -1765328230: "add the realm to krb5.conf, or correct {key}.principal",  # KRB5_REALM_UNKNOWN
    _KDC_UNREACHABLE: _KDC,
    _NO_CACHE: _RENEW,
}
"""The fix by error code of libkrb5."""


class KerberosTicket(AuthBase):
    """Adds a ticket to requests of a session; safe to share between threads and sessions.

    Args:
        settings: The principals of the service and of the client.
        url: Address of the service.
        key: Key of the settings in the context, for errors: the component and `kerberos`.
        timeout: Deadline of the request for a ticket, in seconds.
    """

    def __init__(self, settings: KerberosSettings, url: str, key: str, timeout: float) -> None:
        self._settings = settings
        self._key = key
        self._timeout = timeout
        self._service = f"{settings.service_name}@{settings.hostname or urlsplit(url).hostname or ''}"
        self._where = f"kerberos {self._service.replace('@', '/')}"
        self._cache = f"MEMORY:{uuid.uuid4().hex}"
        self._busy = Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add a ticket to a request; raises ClientError."""
        request.headers["Authorization"] = f"Negotiate {self.current()}"
        request.register_hook("response", self._after)
        return request

    def check(self) -> None:
        """Raise ConfigError if the library is missing, or the keytab cannot be read."""
        try:
            import gssapi  # noqa: F401, PLC0415 - an extra
        except ImportError as error:  # also if libkrb5 is missing
            missing = "gssapi is not installed" if isinstance(error, ModuleNotFoundError) else line(error)
            raise ConfigError(f"{self._key}: {missing}", hint=INSTALL) from None
        if (keytab := self._settings.keytab) is None:
            return
        try:
            with Path(keytab).open("rb") as file:
                start = file.read(1)
        except OSError as error:
            raise ConfigError(f"{self._key}.keytab: cannot read {keytab}: {error.strerror}") from error
        if start != _KEYTAB:
            raise ConfigError(f"{self._key}.keytab: {keytab} is not a keytab", hint="export it with ktadd of kadmin")

    def current(self) -> str:
        """Return a ticket for one request, because a service rejects the same one twice.

        Raises:
            AuthenticationFailed: There are no credentials, or the KDC rejected them.
            ClientError: The KDC does not respond.
        """
        deadline = of_request(self._timeout)
        try:
            return call_within(self._create, deadline.left, self._busy, "kerberos")
        except TimeoutError:
            late = f"{self._where}: no ticket within {duration(deadline.nearest.seconds, precise=True)}"
            raise TimedOut(late, hint=_KDC) from None

    def _create(self) -> str:
        import gssapi  # noqa: PLC0415 - an extra; `check` reports that it is missing

        try:
            try:
                token = self._token(gssapi, _SPNEGO)
            except gssapi.exceptions.GSSError:
                self._token(gssapi, _KRB5)  # the error of SPNEGO does not name the cause
                raise
        except gssapi.exceptions.GSSError as error:
            raise self._failed(error) from error
        return base64.b64encode(token).decode()

    def _token(self, gssapi: Any, oid: str) -> bytes:  # noqa: ANN401 - a module without types
        """Return the first token of a mechanism, with a ticket that libkrb5 keeps and renews."""
        settings = self._settings
        mechanism = gssapi.OID.from_int_seq(oid)
        name, store = None, None
        if settings.principal is not None:
            name = gssapi.Name(settings.principal, gssapi.NameType.kerberos_principal)
        if settings.keytab is not None:
            store = {"client_keytab": settings.keytab, "ccache": self._cache}
        credentials = gssapi.Credentials(name=name, usage="initiate", store=store, mechs=[mechanism])
        service = gssapi.Name(self._service, gssapi.NameType.hostbased_service)
        context = gssapi.SecurityContext(usage="initiate", name=service, creds=credentials, mech=mechanism)
        token: bytes = context.step()
        return token

    def _failed(self, error: Any) -> ClientError:  # noqa: ANN401 - of an extra
        code = error.min_code - 2**32 if error.min_code >= 2**31 else error.min_code
        reasons = error.get_all_statuses(error.min_code, False) or error.get_all_statuses(error.maj_code, True)
        reason = line(" ".join(reasons).replace("\0", ""))
        hint = _HINTS.get(code)
        if code in (_NO_CACHE_ENTRY, _NO_CACHE) and self._settings.keytab is not None:
            whose = self._settings.principal or "any principal"
            reason, hint = f"{self._settings.keytab} has no key of {whose}", "correct {key}.principal or {key}.keytab"
        text = f"{self._where}: {reason}"
        hint = (hint or "check krb5.conf and {key}").format(key=self._key)
        return Unreachable(text, hint=hint) if code == _KDC_UNREACHABLE else AuthenticationFailed(text, hint=hint)

    def _after(self, response: requests.Response, **options: Any) -> requests.Response:  # noqa: ANN401, ARG002 - options of `send`
        """Raise AuthenticationFailed after a 401, with the difference of the clocks if it is the cause."""
        if response.status_code != 401:
            return response
        hint = f"check {self._key}.service_name, {self._key}.hostname and the keytab of the server"
        skew = _skew(response)
        if abs(skew) > SKEW:
            hint = f"synchronize the clocks: the server's is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}"
        raise AuthenticationFailed(f"{self._where}: the server rejected our ticket (401)", hint=hint)


def _skew(response: requests.Response) -> float:
    """Return how many seconds the server's clock is ahead of this machine's; 0 if it does not show its time."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
