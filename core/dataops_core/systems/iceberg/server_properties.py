"""Restrict the properties that a catalog may override: none that redirects our credentials or loads code.

A REST catalog sends properties in its config and with each table, and any writer of a table can set properties in its
metadata. In PyIceberg all of them override the settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataops_core.errors import BadAnswer
from dataops_core.transport.origin import Origin, OriginRule

NEVER = re.compile(
    r"auth|ssl|credential|(py-.*|.*[.-])impl|rest\.sig.*|header\..*|s3\.signer(\..*)?"
    r"|.*profile-name|.*role-arn|.*role-session-name|.*proxy-uri|gcs\.session-kwargs|.*-timeout|default_(scheme|netloc)",
    re.IGNORECASE,
)
"""Properties that only the settings may set: they load code, sign for others, or select the identity."""


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of object store or file system.

    Attributes:
        address: Properties with its address.
        identity: Properties with credentials.
        enough: Sets of properties; each set is a complete credential.
    """

    name: str
    address: re.Pattern[str]
    identity: re.Pattern[str]
    enough: tuple[frozenset[str], ...]


def _sets(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in alternatives)


STORES = (
    Store(
        "S3",
        re.compile(r"s3\.endpoint"),
        re.compile(
            r"(s3|client)\.(access-key-id|secret-access-key|session-token|profile-name|role-arn|role-session-name)"
        ),
        _sets("s3.access-key-id s3.secret-access-key"),
    ),
    Store("GCS", re.compile(r"gcs\.service\.host"), re.compile(r"gcs\.oauth2\..*"), _sets("gcs.oauth2.token")),
    Store(
        "ADLS",
        re.compile(r"adls\.(account-(name|host)|(blob|dfs)-storage-(authority|scheme)|connection-string)"),
        re.compile(
            r"adls\.(connection-string|credential|account-key|sas-token(\..*)?|client-id|client-secret|tenant-id|token)"
        ),
        _sets("adls.account-key", "adls.sas-token", "adls.connection-string"),
    ),
    Store("HDFS", re.compile(r"hdfs\.(host|port)"), re.compile(r"hdfs\.(user|kerberos_ticket)"), ()),
    Store("Hugging Face", re.compile(r"hf\.endpoint"), re.compile(r"hf\.token"), _sets("hf.token")),
)
REGION = re.compile(r"[A-Za-z0-9-]{1,40}")
"""Valid regions; a region becomes part of a host name."""


def catalog_properties(where: str, ours: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Return a catalog's properties, restricted after its config was read.

    Args:
        where: Name of the catalog, for errors.
        ours: Properties of the settings.
        merged: The same, merged with the catalog's config.

    Raises:
        BadAnswer: The catalog redirects itself or its token requests to another origin.
    """
    kept = _without_never(ours, merged)
    own = str(ours["uri"])
    OriginRule(where, (own,)).check(str(kept.get("uri", own)), "the catalog's config names the address")
    token_uri = str(ours.get("oauth2-server-uri", own))
    OriginRule(where, (token_uri,)).check(
        str(kept.get("oauth2-server-uri", token_uri)), "the catalog's config names the OAuth server"
    )
    return kept


def store_properties(where: str, ours: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties for opening a table's files.

    Another store than the configured one is opened only with the credentials that the catalog sends for it.

    Args:
        where: Name of the catalog, for errors.
        ours: Properties of the settings.
        merged: The same, merged with those of the catalog and of the table's metadata.

    Raises:
        BadAnswer: The catalog names another store without credentials for it.
    """
    kept = _without_never(ours, merged)
    for name in ("s3.region", "client.region"):
        if name in kept and kept[name] != ours.get(name) and not REGION.fullmatch(str(kept[name])):
            raise BadAnswer(f"{where}: the catalog sets {name} to a value that is not a region")
    for store in STORES:
        moved = [name for name in kept if store.address.fullmatch(name) and not _same(kept[name], ours.get(name))]
        if not moved:
            continue
        offered = {name for name in kept if store.identity.fullmatch(name) and kept[name] != ours.get(name)}
        if not any(offered >= names for names in store.enough):
            name = moved[0]
            own = ours.get(name)
            raise BadAnswer(
                f"{where}: the catalog names the {store.name} store at {_named(kept[name])} refused, "
                f"our credentials for it go only to {_named(own) if own else 'the store that the settings name'}",
                hint=f"set {name} in the catalog's properties if you trust it",
            )
        kept = {name: value for name, value in kept.items() if name in offered or not store.identity.fullmatch(name)}
    return kept


def _without_never(ours: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in merged.items() if not NEVER.fullmatch(name)}
    return kept | {name: value for name, value in ours.items() if NEVER.fullmatch(name)}


def _same(offered: object, ours: object) -> bool:
    if offered == ours:
        return True
    try:
        return Origin.of(str(offered)) == Origin.of(str(ours))
    except ValueError:
        return False


def _named(address: object) -> str:
    """Return an address for an error, without possible secrets."""
    try:
        return str(Origin.of(str(address)))
    except ValueError:
        return ascii(str(address).rpartition("@")[2][:100])[1:-1]
