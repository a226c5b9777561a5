"""What a catalog or a table offers is taken only where it sends no credential of ours elsewhere and loads no code."""

from __future__ import annotations

import pytest
from tests.hostile.clients import ACCESS_KEY, SECRET, STATIC

from dataops_core.errors import BadAnswer
from dataops_core.systems.iceberg.server_properties import catalog_properties, store_properties

OURS = {"uri": "http://c", "s3.endpoint": "http://store:8333", **STATIC, "s3.session-token": SECRET}
THEIRS = {"s3.access-key-id": "theirs", "s3.secret-access-key": "theirs"}


def test_a_store_elsewhere_gets_none_of_our_credentials() -> None:
    with pytest.raises(BadAnswer, match=r"http://evil:9000 refused.*http://store:8333") as caught:
        store_properties("catalog c", OURS, {**OURS, "s3.endpoint": "http://evil:9000"})
    assert SECRET not in str(caught.value)
    found = store_properties("catalog c", OURS, {**OURS, "s3.endpoint": "http://evil:9000", **THEIRS})
    assert found["s3.access-key-id"] == "theirs"
    assert SECRET not in found.values()
    assert ACCESS_KEY not in found.values()


@pytest.mark.parametrize(
    ("ours", "offered"),
    [
        ({**STATIC}, {"s3.endpoint": "http://evil"}),
        ({}, {"s3.endpoint": "http://evil"}),
        ({**STATIC}, {"s3.endpoint": "http://evil", "s3.access-key-id": "theirs"}),
        ({**STATIC}, {"s3.region": "evil.example/"}),
        ({"gcs.oauth2.token": SECRET}, {"gcs.service.host": "http://evil"}),
        ({"gcs.oauth2.token": SECRET}, {"gcs.service.host": "http://evil", "gcs.oauth2.token-expires-at": "1"}),
        ({"adls.account-name": "a", "adls.sas-token": SECRET}, {"adls.account-name": "evil"}),
        ({"adls.account-key": SECRET}, {"adls.blob-storage-authority": "evil"}),
        ({"hdfs.kerberos_ticket": SECRET}, {"hdfs.host": "evil"}),
        ({"hf.token": SECRET}, {"hf.endpoint": "http://evil"}),
    ],
)
def test_stores_of_each_kind_are_refused_elsewhere(ours: dict[str, str], offered: dict[str, str]) -> None:
    with pytest.raises(BadAnswer) as caught:
        store_properties("catalog c", ours, {**ours, **offered})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("py-io-impl", "s3.retry-strategy-impl", "s3.proxy-uri", "s3.signer", "s3.signer.uri", "s3.role-arn"),
        *("client.profile-name", "gcs.session-kwargs", "s3.request-timeout"),
    ],
)
def test_what_only_the_settings_may_have_is_dropped_from_an_offer(name: str) -> None:
    assert name not in store_properties("c", OURS, {**OURS, name: "theirs"})
    ours = {**OURS, name: "ours"}
    assert store_properties("c", ours, {**ours, name: "theirs"})[name] == "ours"
    assert catalog_properties("c", ours, {**ours, name: "theirs"})[name] == "ours"


def test_a_store_at_our_own_address_keeps_our_credentials() -> None:
    offered = {"s3.endpoint": "HTTP://STORE:8333/", "s3.region": "eu-1", "write.format.default": "orc"}
    found = store_properties("c", OURS, {**OURS, **offered})
    assert found["s3.secret-access-key"] == SECRET
    assert found["s3.region"] == "eu-1"
