"""Base types of the settings: sections, secrets, TLS, components and stages.

A secret does not have to be in the file. It is a text in which `${VARIABLE}` is replaced, or a table with `file` or
`command`. It is read again at each use, so that rotation takes effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)


def _from_folder(text: str, info: ValidationInfo) -> str:
    """Resolve a relative path from the settings file's folder, which `load_settings` passes as the context."""
    if not isinstance(info.context, Path) or "://" in text:
        return text
    return str(info.context / Path(text).expanduser())


LocalPath = Annotated[str, AfterValidator(_from_folder)]


class Section(BaseModel):
    """A table of the settings file; unknown keys are errors, and instances are immutable.

    Validation errors do not show the input, because it may be a secret.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
        allow_inf_nan=False,
    )


class SecretSource(Section):
    """A secret outside of the settings file: exactly one of the two keys."""

    file: LocalPath | None = None
    """Path of a file whose content, stripped, is the secret."""
    command: tuple[str, ...] | None = Field(default=None, repr=False)
    """Program and arguments whose output, stripped, is the secret."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (not self.command):
            raise ValueError("needs exactly one of `file` and `command`")
        return self


TEXT_TAG, TABLE_TAG = "<text>", "<table>"
"""Names of the two forms of a secret in the locations of pydantic's errors; no key of a table equals them."""

Secret = Annotated[
    Annotated[str, Tag(TEXT_TAG)] | Annotated[SecretSource, Tag(TABLE_TAG)],
    Discriminator(lambda value: TEXT_TAG if isinstance(value, str) else TABLE_TAG),
]


class TlsSettings(Section):
    """TLS of an `https://` address: trusted CAs, and the client certificate. Files are in PEM format."""

    ca_file: LocalPath | None = None
    """CA certificates that the server's certificate must be signed by. Default: the public CAs."""
    cert_file: LocalPath | None = None
    """Client certificate, for servers that require one (mTLS)."""
    key_file: LocalPath | None = None
    """Private key of the client certificate, without a password. Default: it is in `cert_file`."""

    @model_validator(mode="after")
    def _key_of_something(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("has a `key_file` without a `cert_file`")
        return self


class OauthSettings(Section):
    """OAuth 2 client credentials: a token from a token endpoint, renewed before it expires and after a 401."""

    token_url: str
    """Address of the token endpoint (needs HTTPS)."""
    client_id: str
    """Id of the client."""
    client_secret: Secret = Field(repr=False)
    """Secret of the client."""
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"  # noqa: S105 - a method
    """Send id and secret by HTTP basic authentication, or in the body of the request (names of RFC 7591)."""
    scope: str | None = None
    """Scopes of the token, separated by spaces."""
    audience: str | None = None
    """Audience of the token, for servers that need one."""
    tls: TlsSettings | None = None
    """Certificates, for the token endpoint."""


class KerberosSettings(Section):
    """Kerberos (SPNEGO) with the extra `kerberos`; realms and KDCs are those of `krb5.conf`."""

    service_name: str = "trino"
    """First part of the service's principal: `trino` of `trino/host@REALM`."""
    hostname: str | None = None
    """Host name in the service's principal. Default: the host of the URL."""
    principal: str | None = None
    """Principal of the client. Default: that of the credential cache, or the first one in the keytab."""
    keytab: LocalPath | None = None
    """Keytab of the client, for tickets without `kinit`. Default: the credential cache of the environment."""


class ComponentSettings(Section):
    """A component of a context: a cluster, a server, a catalog."""

    component: ClassVar[str]
    """Name of its kind of component: `system` in `[contexts.NAME.components.NAME]`."""


class WebSettings(Section):
    """A service with an HTTP API."""

    url: str
    """Base URL."""
    username: str | None = None
    """With `password`: HTTP basic authentication."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `username`."""
    token: Secret | None = Field(default=None, repr=False)
    """A bearer token, instead of user name and password."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""


class StageSettings(Section):
    """Settings of all stages."""

    name: str
    """Unique within the pipeline; also the first half of check ids."""
    kind: str
    """Kind of the stage."""
    on: str | None = None
    """Name of the component, needed only if the context has several of its system."""
    reads: tuple[str, ...] = ()
    """Names of the input stages; none for a source."""
    lag_ok: float = Field(default=30.0, gt=0)
    """Highest hop lag of a stage that is caught up, in seconds."""
    stall_after: float = Field(default=20.0, gt=0)
    """Seconds without output after which a stage with input is stuck."""
    remedy: str | None = None
    """Shell command that the verdict suggests if this stage is the cause."""
