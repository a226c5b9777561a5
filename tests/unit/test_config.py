"""Settings: what is read, what outranks what, and that whatever is wrong is one line with place and mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dataops_core.config import PipelineSettings, SecretSource, Settings, context_of, find_config, resolve_secret
from dataops_core.errors import ConfigError, DataopsError
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.kafka.settings import TopicStage
from dataops_core.systems.registry import find_problems, load_settings, settings_of

OAUTH = '[contexts.prod.trino]\nurl = "{}"\noauth = {{ token_url = "{}", client_id = "i", client_secret = "s" }}\n'
GOOD = """
[contexts.prod.kafka]
bootstrap_servers = "a:9092,b:9092"
[contexts.prod.kafka.properties]
"sasl.password" = "${KAFKA_PASSWORD}"
[contexts.prod.catalogs.lake.properties]
type = "rest"
uri = "http://catalog"
[pipelines.orders]
context = "prod"
[[pipelines.orders.stages]]
name = "orders"
kind = "topic"
topic = "orders"
[[pipelines.orders.stages]]
name = "bronze"
kind = "iceberg_table"
catalog = "lake"
table = "bronze.orders"
reads = ["orders"]
lag_ok = 45
[exporter.topics]
deny = ["__.*"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(GOOD)
    return path


def test_a_file_is_read(file: Path) -> None:
    settings = load_settings(file)
    orders = settings.pipelines["orders"]
    assert [stage.name for stage in orders.stages] == ["orders", "bronze"]
    assert orders.stages[1].lag_ok == 45
    assert orders.stages[0].lag_ok == 30
    assert context_of(settings)[0] == "prod"
    assert find_problems(file) == ()


def test_the_environment_outranks_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAOPS_REFRESH", "12")
    assert load_settings(file).refresh == 12
    monkeypatch.setenv("DATAOPS_REFRESH", "soon")
    with pytest.raises(ConfigError, match="environment variable DATAOPS_REFRESH: must be a valid number"):
        load_settings(file)


def test_the_file_is_found_by_flag_variable_or_place(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATAOPS_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)
    assert find_config(Path("x.toml")) == Path("x.toml")
    assert find_config() == Path("dataops.toml")
    monkeypatch.setenv("DATAOPS_CONFIG", "/elsewhere.toml")
    assert find_config() == Path("/elsewhere.toml")
    monkeypatch.delenv("DATAOPS_CONFIG")
    file.unlink()
    with pytest.raises(ConfigError, match=r"no settings file.*--config or DATAOPS_CONFIG"):
        find_config()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lag_ok = 45", "lag_okay = 45", 'stages[1] "bronze": unknown key \'lag_okay\'; did you mean "lag_ok"?'),
        ("lag_ok = 45", "lag_ok = 0", 'stages[1] "bronze".lag_ok: must be greater than 0'),
        ('kind = "topic"', 'kind = "topik"', 'stages[0] "orders": kind "topik" is unknown; known are'),
        ('reads = ["orders"]', 'reads = ["order"]', '.reads: there is no stage "order"; did you mean "orders"?'),
        ('reads = ["orders"]', 'reads = ["bronze"]', ".reads: a stage cannot read itself"),
        ('catalog = "lake"', 'catalog = "leak"', '.catalog: there is no catalog "leak"; did you mean "lake"?'),
        ('table = "bronze.orders"', 'table = "orders"', ".table: must be namespace.table"),
        ('context = "prod"', 'context = "prd"', 'context: there is no context "prd"; did you mean "prod"?'),
        ('"a:9092,b:9092"', '"a,b:9092"', "kafka.bootstrap_servers: must be host:port"),
        ('topic = "orders"', "", 'stages[0] "orders".topic: missing'),
        ('["__.*"]', '["__.*", "("]', "exporter.topics.deny[1]: must be a valid regular expression"),
        ('["__.*"]', '["__.*"]\ngranularity = "group"', "exporter.topics.granularity: must be 'topic' or 'partition'"),
        ("[pipelines.orders]", "[pipelines.orders", "not TOML"),
        (
            "[pipelines.orders]",
            '[contexts.prod.catalogs.lake.tls]\nca_file = "ca.pem"\n[pipelines.orders]',
            "catalogs.lake.tls: the address does not begin with https://",
        ),
        (
            'kind = "topic"\ntopic = "orders"',
            'kind = "spark_query"\ncheckpoint = "/c"\nui = {url = "http://u:pw@s:4040"}',
            'stages[0] "orders".ui.url:',
        ),
        (
            "[pipelines.orders]",
            '[contexts.prod.airflow]\nurl = "https://a"\ntls = { key_file = "key.pem" }\n[pipelines.orders]',
            "contexts.prod.airflow.tls: has a `key_file` without a `cert_file`",
        ),
        (
            "[pipelines.orders]",
            '[contexts.prod.trino]\nurl = "http://t"\ntoken = "t"\n[pipelines.orders]',
            "trino.token: Trino accepts a token over https:// only",
        ),
        (
            "[pipelines.orders]",
            '[contexts.prod.trino]\nurl = "https://t"\ntoken = "t"\npassword = "p"\n[pipelines.orders]',
            "trino: has a token and a password; keep one of them",
        ),
        (
            "[pipelines.orders]",
            OAUTH.format("https://t", "http://idp/token") + "[pipelines.orders]",
            "trino.oauth.token_url: a client secret is sent over https:// only",
        ),
        (
            "[pipelines.orders]",
            OAUTH.format("http://t", "https://idp/token") + "[pipelines.orders]",
            "trino.oauth: Trino accepts a token over https:// only",
        ),
        (
            "[pipelines.orders]",
            '[contexts.prod.trino]\nurl = "http://t"\nkerberos = {}\n[pipelines.orders]',
            "trino.kerberos: Trino accepts a ticket over https:// only; change the url, or remove kerberos",
        ),
        (
            "[pipelines.orders]",
            '[contexts.prod.trino]\nurl = "https://t"\nkerberos = {}\ntoken = "t"\n[pipelines.orders]',
            "trino: has kerberos and a token; keep one of them",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ")
    assert said in line
    assert "\n" not in line


def test_all_problems_are_found_at_once(file: Path) -> None:
    file.write_text(GOOD.replace("lag_ok = 45", "lag_ok = -1\nstall = 3").replace('topic = "orders"', "topic = 3"))
    assert len(find_problems(file)) == 3


def test_a_stage_needs_its_component(file: Path) -> None:
    file.write_text(GOOD + '[[pipelines.orders.stages]]\nname = "d"\nkind = "dag"\ndag_id = "d"\nreads = ["bronze"]\n')
    assert any("needs [contexts.prod.airflow], which is missing" in line for line in find_problems(file))


def test_several_contexts_want_a_name(file: Path) -> None:
    file.write_text(GOOD + "[contexts.stage]\n")
    settings = load_settings(file)
    assert context_of(settings, "stage")[0] == "stage"
    with pytest.raises(ConfigError, match=r"several contexts \(prod, stage\): choose one with --context"):
        context_of(settings)
    with pytest.raises(ConfigError, match='no context "stge"; did you mean "stage"'):
        context_of(settings, "stge")


def test_secrets_come_from_variables_files_and_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "s3cret")
    assert resolve_secret("a-${PASSWORD}-$${PASSWORD}") == "a-s3cret-${PASSWORD}"
    path = tmp_path / "password"
    path.write_text("from-file\n")
    assert resolve_secret(SecretSource(file=str(path))) == "from-file"
    assert resolve_secret(SecretSource(command=("printf", "from-command"))) == "from-command"


def test_a_password_in_a_catalog_s_address_is_not_its_name() -> None:
    settings = CatalogSettings(properties={"type": "sql", "uri": "postgresql+psycopg2://u:hunter2@db.invalid/cat"})
    client = CatalogClient("lake", settings)
    assert client.target == "postgresql+psycopg2://***@db.invalid/cat"
    with pytest.raises(DataopsError) as caught:
        client.ping()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_time_is_a_number_that_one_can_reckon_with(value: str) -> None:
    with pytest.raises(ValidationError, match="finite"):
        TopicStage.model_validate({"name": "t", "kind": "topic", "topic": "t", "stall_after": float(value)})


def test_a_secret_that_cannot_be_read_is_said_without_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment variable NOT_SET is not set"):
        resolve_secret("${NOT_SET}")
    with pytest.raises(ConfigError, match="cannot read"):
        resolve_secret(SecretSource(file=str(tmp_path / "missing")))
    with pytest.raises(ConfigError, match="failed with exit code 3"):
        resolve_secret(SecretSource(command=("sh", "-c", "echo hush >&2; exit 3")))
    with pytest.raises(ConfigError, match="returned no secret within"):
        resolve_secret(SecretSource(command=("sleep", "9")), timeout=0.1)
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(ConfigError, match="is empty"):
        resolve_secret(SecretSource(file=str(path)))


def test_a_dump_of_the_base_settings_keeps_the_fields_of_stages_components_and_thresholds() -> None:
    stage = TopicStage(name="orders", kind="topic", topic="shop.orders")
    pipeline = PipelineSettings(context="c", stages=(stage,))
    assert pipeline.model_dump(exclude_unset=True)["stages"] == (
        {"name": "orders", "kind": "topic", "topic": "shop.orders"},
    )
    raw: dict[str, Any] = {"contexts": {"c": {"kafka": {"bootstrap_servers": "k:9092"}}}}
    context = settings_of(raw, Path(), "here").contexts["c"]
    dumped = Settings(contexts={"c": context}, pipelines={"p": pipeline}).model_dump(exclude_unset=True)
    assert dumped["contexts"]["c"]["kafka"]["bootstrap_servers"] == "k:9092"
    assert dumped["pipelines"]["p"]["stages"][0]["topic"] == "shop.orders"
