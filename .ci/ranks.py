#!/usr/bin/env python3
"""Ranks as their user starts them: `python3 .ci/ranks.py target/debug/train-dpo target/debug/train-ppo [--kills 40] [--ranks 2,4,8]
[--steps 8]`.

Trains the shipped model on the shipped pairs by one process and by several over MPI, and compares weights; gives a wrong option;
kills and stops ranks at random moments and goes on on the same or another number of them. Trains it by its own answers, which are the
same texts on any number of ranks.
"""

import argparse
import array
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 72
MICRO_BATCHES = 8
MPIRUN = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-q"]


def command(program, directory, ranks, steps, *more):
    options = ["--model-name-or-path", str(ROOT / "fixtures/models/tiny-chat"), "--dataset-name", str(directory.parent / "rows.jsonl"),
               "--learning-rate", "1e-4", "--output-dir", str(directory), "--max-steps", str(steps),
               "--per-device-train-batch-size", "2", "--gradient-accumulation-steps", str(MICRO_BATCHES // ranks),
               "--save-strategy", "steps", "--save-steps", "2", "--save-total-limit", "2", *more]
    launcher = [*MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, program, *options]


def run(*args, expected=0):
    done = subprocess.run(command(*args), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == expected, (done.returncode, done.stderr[-3000:])
    return done


def weights(directory):
    raw = (directory / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + length])
    values = array.array("f")
    for name in sorted(name for name in header if name != "__metadata__"):
        start, end = header[name]["data_offsets"]
        values.frombytes(raw[8 + length + start:8 + length + end])
    return values


def distance(one, other):
    difference = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    return (difference / sum(b * b for b in other)) ** 0.5


def on_policy(program, home, ranks):
    """Two phases of PPO, by the shipped reward model, on one process and twice on several."""
    def trained(name, count):
        directory = home / name
        options = ["--model-name-or-path", ROOT / "fixtures/models/tiny-chat", "--reward-model-path", ROOT / "fixtures/models/tiny-reward",
                   "--dataset-name", ROOT / "fixtures/data/prompts/train.jsonl", "--output-dir", directory, "--learning-rate", "1e-4",
                   "--max-new-tokens", "16", "--total-episodes", "32", "--save-strategy", "no", "--per-device-train-batch-size", "2",
                   "--num-ppo-epochs", "2", "--gradient-accumulation-steps", str(MICRO_BATCHES // count)]
        launcher = [*MPIRUN, "-n", str(count)] if count > 1 else []
        done = subprocess.run([*launcher, program, *map(str, options)], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr[-3000:]
        return weights(directory), (directory / "samples.jsonl").read_text().splitlines()
    (alone, texts), (one, own), (again, _) = trained("ppo-alone", 1), trained("ppo-on", ranks), trained("ppo-again", ranks)
    first = [text for text in texts if '"phase":0,' in text]
    assert len(first) == 16 and own[:16] == first and one == again
    # A text may part where rounding decides between two tokens, and what is learned from it with it.
    apart = distance(one, alone)
    assert own != texts or apart < 1e-6, apart
    print(f"PPO on {ranks} ranks: {apart:.2e} from one process, the same texts: {own == texts}, the same bits twice: {one == again}")


def members(parent):
    """The processes that the launcher started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return sorted(int(pid) for pid in found.split())


def is_alive(pid):
    """Whether it runs: where nobody waits for orphans, dead ones stay in the list."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def hurt(program, directory, ranks, steps, how, after, *more):
    """Sends a signal to a random rank after some seconds; the job must end by itself within 30 more. None if it was done before."""
    job = subprocess.Popen(command(program, directory, ranks, steps, *more), stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    time.sleep(after)
    pids = members(job.pid)
    if job.poll() is not None or not pids:
        job.communicate()
        return None
    try:
        os.kill(random.choice(pids), how)
    except ProcessLookupError:
        job.communicate()
        return None
    began = time.monotonic()
    said = job.communicate(timeout=60)[1]
    # The launcher may be gone a moment before the last of its processes is.
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() - began < 30:
        time.sleep(0.1)
    took = time.monotonic() - began
    assert job.returncode != 0 and not left and took < 30, (job.returncode, left, took, said[-2000:])
    return took, said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("on_policy", nargs="?", metavar="train-ppo")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--ranks", default="2")
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    program, steps = given.program, given.steps
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        with open(ROOT / "fixtures/data/preference/train.jsonl") as rows:
            (home / "rows.jsonl").write_text("".join(next(rows) for _ in range(ROWS)))
        run(program, home / "alone", 1, steps)
        alone, whole = weights(home / "alone"), {1: weights(home / "alone").tobytes()}
        for ranks in map(int, given.ranks.split(",")):
            done = run(program, home / f"on-{ranks}", ranks, steps)
            run(program, home / f"again-{ranks}", ranks, steps)
            one, again = weights(home / f"on-{ranks}"), weights(home / f"again-{ranks}")
            apart = distance(one, alone)
            print(f"{ranks} ranks, {steps} steps: {apart:.2e} from one process; the same bits twice: {one == again}")
            assert one == again and apart < 1e-6
            assert done.stdout.count("model written to") == 1 and f"on {ranks} ranks" in done.stdout, done.stdout
            assert json.loads((home / f"on-{ranks}/report.json").read_text())["ranks"] == ranks
            whole[ranks] = one.tobytes()

        ranks = int(given.ranks.split(",")[0])
        wrong = run(program, home / "wrong", ranks, steps, "--beta", "-1", expected=2).stderr
        assert wrong.count("beta") == 1 and not (home / "wrong").exists(), wrong
        print("a wrong option: exit code 2, said once")

        if given.on_policy:
            on_policy(given.on_policy, home, ranks)

        began = time.monotonic()
        run(program, home / "timed", ranks, steps)
        length = time.monotonic() - began
        for number in range(given.kills):
            directory = home / f"killed-{number}"
            killed = None
            while killed is None:
                subprocess.run(["rm", "-rf", str(directory)], check=True)
                killed = hurt(program, directory, ranks, steps, signal.SIGKILL, random.uniform(0.3, length * 0.9))
            saved = any(directory.glob("checkpoint-*/MANIFEST.json"))
            then = random.choice([ranks, ranks, *whole])
            more = ["--resume-from-checkpoint", "last"] if saved else ["--overwrite-output-dir"] if directory.exists() else []
            run(program, directory, then, steps, *more)
            ended = weights(directory)
            if then == ranks:
                assert ended.tobytes() == whole[ranks], "other bits"
            assert distance(ended, alone) < 1e-6
            print(f"kill {number + 1}: ended after {killed[0]:.1f} s, {'resumed' if saved else 'begun again'} on {then}: "
                  f"{'the same bits' if then == ranks else 'the same within 1e-6'}", flush=True)

        stopped = hurt(program, home / "stopped", ranks, 10000, signal.SIGSTOP, 5, "--logging-steps", "1000")
        said = [line for line in stopped[1].splitlines() if "has not been heard of" in line]
        assert said and "--resume-from-checkpoint" in said[0], stopped[1]
        print(f"a stopped rank: ended after {stopped[0]:.1f} s: {said[0]}")


if __name__ == "__main__":
    sys.exit(main())
