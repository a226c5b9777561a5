"""TLS, basic auth and bearer tokens, from a web configuration file like that of Prometheus' exporters."""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from dataops_core.bounded import LINE, Malformed, load_yaml, read_text
from dataops_core.config import Section
from dataops_core.errors import ConfigError

Version = Literal["TLS12", "TLS13"]
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""The policies that Python supports; it cannot request a certificate without verifying it."""
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""Version, cost, salt and hash; bcrypt rejects any other form only at a request."""
NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOWHERE = re.compile("[\0\ud800-\udfff]")
"""Characters that YAML can hold (`"\\0"`) but file and user names cannot."""


def _bcrypt_hash(text: str) -> str:
    if not BCRYPT.fullmatch(text):
        raise ValueError("is not a bcrypt hash; create one with `htpasswd -nBC 10 NAME`")
    return text


BcryptHash = Annotated[str, AfterValidator(_bcrypt_hash)]


class TlsServerConfig(Section):
    """The server certificate, and the policy for client certificates."""

    cert_file: str
    key_file: str
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: str | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"

    @model_validator(mode="after")
    def _one_needs_the_other(self) -> TlsServerConfig:
        if (self.client_auth_type == "NoClientCert") != (self.client_ca_file is None):
            raise ValueError("client_ca_file requires a client_auth_type that verifies, and the reverse")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        return self


class WebConfig(Section):
    """The web configuration file. All keys except `bearer_token_files` are those of Prometheus' exporter-toolkit."""

    tls_server_config: TlsServerConfig | None = None
    basic_auth_users: dict[str, BcryptHash] = Field(default={}, repr=False)
    bearer_token_files: tuple[str, ...] = ()


class Guard:
    """One loaded version of a web configuration file: the TLS context and the credentials.

    Args:
        config: Content of the file.
        folder: Base of relative paths.

    Raises:
        ConfigError: A certificate, key or token cannot be read.
    """

    def __init__(self, config: WebConfig, folder: Path) -> None:
        tls = config.tls_server_config
        self.files = tuple(
            folder / name
            for name in (
                *((tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()),
                *config.bearer_token_files,
            )
            if name is not None
        )
        self.tls = _tls_context(tls, folder) if tls else None
        self.users: Mapping[str, str] = config.basic_auth_users
        """bcrypt hashes by user."""
        self._tokens = tuple(_token(folder / name) for name in config.bearer_token_files)
        if self.users:
            _bcrypt()  # fails now if it is not installed

    @property
    def challenge(self) -> str | None:
        """The header `WWW-Authenticate` of a 401 response; `None` without access control."""
        kinds = [kind for kind, known in (("Basic", self.users), ("Bearer", self._tokens)) if known]
        return ", ".join(f'{kind} realm="dataops-exporter"' for kind in kinds) or None

    def has_token(self, token: str) -> bool:
        """Return whether it is one of the bearer tokens."""
        digest = _digest(token)
        return any(hmac.compare_digest(digest, known) for known in self._tokens)

    def has_hash(self, password: bytes, hashed: str) -> bool:
        """Return whether a password has a bcrypt hash; this is slow and uses one core."""
        return bool(_bcrypt().checkpw(password, hashed.encode()))


class WebConfigFile:
    """A web configuration file that is reloaded when it, or a file that it names, has changed.

    An invalid version is rejected, and the previous one stays active.

    Args:
        path: The file; `None` for plain HTTP without access control.
        say: Called with one line when a change is rejected.

    Raises:
        ConfigError: The file is invalid.
    """

    def __init__(self, path: Path | None, say: Callable[[str], None] = lambda _line: None) -> None:
        self._path = path
        self._say = say
        self._lock = Lock()
        self.last_reload_successful = True
        self._guard = load(path) if path else Guard(WebConfig(), Path())
        self._seen = self._state()

    def current(self) -> Guard:
        """Return the current version."""
        if self._path is None:
            return self._guard
        with self._lock:
            state = self._state()
            if state != self._seen:
                try:
                    self._guard = load(self._path)
                    self.last_reload_successful = True
                    state = self._state()
                except ConfigError as error:
                    self.last_reload_successful = False
                    self._say(f"{error}; the previous web configuration stays active")
                self._seen = state
            return self._guard

    def _state(self) -> tuple[object, ...]:
        return tuple(_fingerprint(path) for path in (self._path, *self._guard.files) if path is not None)


def load(path: Path) -> Guard:
    """Return a loaded web configuration file; raise ConfigError."""
    return Guard(_parse(path), path.absolute().parent)


def _parse(path: Path) -> WebConfig:
    import strictyaml  # noqa: PLC0415 - half a second that only a web configuration is worth

    try:
        text = read_text(path, LINE)
        if strange := NOT_YAML.search(text):
            line = text.count("\n", 0, strange.start()) + 1
            raise ConfigError(f"{path}: line {line}: YAML does not allow U+{ord(strange[0]):04X}")
        bare = all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())
        content = {} if bare else load_yaml(text, partial(strictyaml.dirty_load, allow_flow_style=True)).data
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except Malformed as error:
        raise ConfigError(f"{path}: {error}") from error
    except strictyaml.YAMLError as error:
        # without its cause, which shows the line and so may show a hash
        raise ConfigError(f"{path}: line {error.problem_mark.line + 1}: {error.problem}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must be a mapping with {', '.join(WebConfig.model_fields)}")
    for key, text in _texts(content):
        if strange := NOWHERE.search(text):
            raise ConfigError(f"{path}: {key}: has a U+{ord(strange[0]):04X}, which is not allowed here")
    try:
        return WebConfig.model_validate(_without_empty(content))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{path}: {_problem(first['loc'], first['type'], first['msg'])}") from None


def _texts(value: object, at: str = "top level") -> Iterator[tuple[str, str]]:
    """Yield each text and key of YAML with its parent key."""
    match value:
        case str():
            yield at, value
        case dict():
            for key, inner in value.items():
                yield at, key
                yield from _texts(inner, key)
        case list():
            for inner in value:
                yield from _texts(inner, at)


def _without_empty(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content without keys that have no value, as other YAML parsers do."""
    return {key: value for key, value in content.items() if value != ""}


def _problem(at: tuple[str | int, ...], kind: str, message: str) -> str:
    key = ".".join(map(str, at)) or "top level"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "extra_forbidden":
        model = TlsServerConfig if len(at) > 1 else WebConfig
        return f"{key}: unknown or not supported here; known are {', '.join(model.model_fields)}"
    return f"{key}: {message.removeprefix('Value error, ').replace('Input should be', 'must be')}"


def _tls_context(config: TlsServerConfig, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[config.min_version]
    context.maximum_version = VERSIONS[config.max_version]
    try:
        context.load_cert_chain(folder / config.cert_file, folder / config.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cert_file {config.cert_file}, key_file {config.key_file}: {_reason(error)}") from error
    if config.client_ca_file is not None:
        try:
            context.load_verify_locations(folder / config.client_ca_file)
        except OSError as error:
            raise ConfigError(f"client_ca_file {config.client_ca_file}: {_reason(error)}") from error
        context.verify_mode = CLIENT_AUTH[config.client_auth_type]
    return context


def _no_password() -> str:
    """Reject an encrypted key; OpenSSL would otherwise prompt in the terminal."""
    raise ValueError("the key is encrypted; use one without a password")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a matching certificate and key in PEM ({error.reason or 'unreadable'})"
    return str(getattr(error, "strerror", None) or error).lower()


def _token(path: Path) -> bytes:
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(f"bearer_token_files: {path}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"bearer_token_files: {path}: not ASCII") from None
    if not token:
        raise ConfigError(f"bearer_token_files: {path} is empty")
    return _digest(token)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()  # follows links: Kubernetes updates a mounted Secret by its link
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _bcrypt() -> Any:  # noqa: ANN401 - a module
    try:
        import bcrypt  # noqa: PLC0415 - only who is asked for passwords needs it
    except ImportError:
        raise ConfigError("basic_auth_users needs bcrypt", hint="install dataops-tui[exporter]") from None
    return bcrypt
