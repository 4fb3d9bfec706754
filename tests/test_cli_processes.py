"""What only processes of their own can show: the installed command, Ctrl-C and a kill."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from loopback import openai_server
from test_cli_compare import results

PLD = str(Path(sys.executable).parent / "pld")


def wait_until(condition, process):
    """Until the condition holds, at most a minute and as long as the process runs."""
    for _ in range(6_000):
        if condition():
            return
        assert process.poll() is None, f"it ended with {process.returncode}"
        time.sleep(0.01)
    raise AssertionError("It took too long.")


def test_the_installed_command_starts_and_says_in_one_line_what_is_wrong(tmp_path):
    def installed(*arguments):
        return subprocess.run([PLD, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    for arguments in ([], ["--help"]):
        done = installed(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(command in done.stdout for command in ("compile", "evaluate", "compare"))
    done = installed("compile", "scienceqa", "--data", "hub", "--embedder", "hf:nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, "no library adds a line"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(pld, tmp_path):
    command = ("compile", "scienceqa", "--train", "40", "--val", "20", "--test", "30", "--log-dir", "run", "--json")
    process = subprocess.Popen([PLD, *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    started = tmp_path / "run/micro_rules.jsonl"
    wait_until(lambda: started.exists() and len(started.read_text().splitlines()) >= 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command with --log-dir run goes on from here"
    kept = started.read_text().splitlines()
    done = pld(*command)
    assert done.returncode == 0, done.stderr
    assert started.read_text().splitlines()[: len(kept)] == kept
    score = json.loads(done.stdout.splitlines()[-1])["score"]
    assert score["compiled"] > score["baseline"]
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"


def test_a_killed_comparison_resumed_has_the_same_results_as_another(pld, tmp_path):
    sizes = ("--train", "16", "--val", "8", "--test", "12", "--num-threads", "2")
    command = ("compare", "scienceqa", *sizes, "--optimizers", "uncompiled,bootstrap-few-shot,pld-clustered")
    with openai_server() as (address, requests):  # whose answers DSPy caches, unlike the simulator's
        for role in ("teacher", "student"):
            command += (f"--{role}", f"openai/{role}", f"--{role}-api-base", address)
        uninterrupted = pld(*command, "--out", "other")
        assert uninterrupted.returncode == 0, uninterrupted.stderr
        calls = len(requests)
        process = subprocess.Popen([PLD, *command, "--out", "stopped"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        wait_until(lambda: len(requests) >= calls + calls // 2, process)
        process.kill()
        process.wait(timeout=60)
        assert len(results(tmp_path / "stopped")) < len(results(tmp_path / "other"))
        resumed = pld(*command, "--out", "stopped")
        assert resumed.returncode == 0, resumed.stderr
        assert len(requests) - 2 * calls <= 2 * 2  # at most those in flight were sent twice
    assert results(tmp_path / "stopped") == results(tmp_path / "other")
