"""What a replay is asked for; the transforms are tested in test_transforms, its commits on the real store."""

from __future__ import annotations

import pytest

from dataops_pipeline.jobs.replay_rejected import Options
from dataops_pipeline.settings import JobError


def test_options_as_the_dag_sets_them() -> None:
    assert Options.from_env({}) == Options()
    env = {"BOREAL_PARAM_QUOTED_NUMBERS": "True", "BOREAL_PARAM_REASON": "wrong-type", "BOREAL_PARAM_LIMIT": "20"}
    assert Options.from_env(env) == Options(quoted_numbers=True, reason="wrong-type", limit=20)


@pytest.mark.parametrize(
    "env", [{"BOREAL_PARAM_QUOTED_NUMBERS": "yes"}, {"BOREAL_PARAM_LIMIT": "-1"}, {"BOREAL_PARAM_LIMIT": "all"}]
)
def test_what_cannot_be_used_is_refused_by_its_name(env: dict[str, str]) -> None:
    with pytest.raises(JobError, match=next(iter(env))):
        Options.from_env(env)
