"""Runs one side of a race as a process, and tells what it took and what else the machine was doing meanwhile."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# Cores that other processes may keep busy before a time is called contended.
QUIET = 0.1


@dataclass(frozen=True)
class Usage:
    """What a process took; `other_cores` is None where the system does not tell (it is Linux that does)."""

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    other_cores: float | None


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cpu():
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor()


def run(command, threads):
    """The usage of `command`, which must succeed, on so many threads and without a GPU or the network."""
    environment = os.environ | dict(
        OMP_NUM_THREADS=str(threads),
        RAYON_NUM_THREADS=str(threads),
        CUDA_VISIBLE_DEVICES="",
        HF_HUB_OFFLINE="1",
        TOKENIZERS_PARALLELISM="false",
        TRL_EXPERIMENTAL_SILENCE="1",
        TRANSFORMERS_VERBOSITY="error",
    )
    with tempfile.TemporaryFile("w+") as log:
        busy, began = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)
        # Unlike getrusage(RUSAGE_CHILDREN), this is of the one process (and of those it waited for, if any).
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{log.read()[-4000:]}")
    cpu_seconds = used.ru_utime + used.ru_stime
    other = None if busy is None else max(0.0, (busy_seconds() - busy - cpu_seconds) / seconds)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Usage(seconds, cpu_seconds, used.ru_maxrss / unit, other)


def busy_seconds():
    """CPU time that all processes of the machine have used."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
