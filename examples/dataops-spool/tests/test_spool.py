"""The system keeps the contract."""

from pathlib import Path

from dataops_spool import SYSTEM, SpoolFolderStage, SpoolSettings

from dataops_core.systems.conformance import assert_conforms


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    assert_conforms(
        SYSTEM,
        components={"spool": SpoolSettings(root=str(tmp_path / "missing"))},
        stages={"spool_folder": SpoolFolderStage(name="orders", kind="spool_folder", folder="orders")},
    )
