"""Every test runs offline, in folders of its own, with DSPy's cache in one of them."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from unittest import mock

_HOME = tempfile.TemporaryDirectory(prefix="pld-tests-")
for _name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "HF_HOME", "DSPY_CACHEDIR"):
    os.environ[_name] = f"{_HOME.name}/{_name.lower()}"
    os.mkdir(os.environ[_name])
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the generated sample
    os.environ["XDG_CACHE_HOME"] = f"{_HOME.name}/cache"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = "1"

import dspy  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from pld_dspy.cli.main import main  # noqa: E402
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


@pytest.fixture
def pld(tmp_path, monkeypatch):
    """The command `pld` in `tmp_path`, run in this process: `pld("compile", "scienceqa")`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        stdout, stderr = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(sys, "argv", ["pld", *arguments]),
            mock.patch.object(os, "_exit", sys.exit),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, stdout.getvalue(), stderr.getvalue())

    return run
