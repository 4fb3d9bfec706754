"""Every test runs offline, in folders of its own, with DSPy's cache in one of them."""

import os
import tempfile

_HOME = tempfile.TemporaryDirectory(prefix="pld-tests-")
os.environ["DSPY_CACHEDIR"] = f"{_HOME.name}/dspy"
os.environ["XDG_CACHE_HOME"] = f"{_HOME.name}/cache"  # where the generated sample goes
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"

import dspy  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from pld_dspy.rehearsal import rehearsal_lm  # noqa: E402

# The same examples on every machine, and no verdict on how fast a machine is.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture
def rehearsal():
    """The simulated models, as the models of the session."""
    lm = rehearsal_lm()
    with dspy.context(lm=lm):
        yield lm
