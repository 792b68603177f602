"""A race as figures: medians, their ratio and its spread, memory, and how quiet the machine was."""

import json
from statistics import fmean, median

import machine
import peak

UNITS = {"dpo": "pairs", "reward": "pairs", "sft": "tokens", "grpo": "completions", "generate": "tokens"}
SIDES = ("ours", "theirs")


def rates(race, warmup, result):
    """Pairs or tokens per second, of each step after the warm-up, or of each generation."""
    if race.stage == "generate":
        return [result.tokens / seconds for seconds in result.seconds]
    times = [step["step_time"] for step in result.steps]
    if race.stage in ("dpo", "reward", "grpo"):
        done = [race.batch_size * (race.group_size if race.stage == "grpo" else 1)] * len(times)
    else:
        totals = [0] + [step["num_tokens"] for step in result.steps]
        done = [after - before for before, after in zip(totals, totals[1:])]
    return [units / time for units, time in zip(done, times)][warmup:]


def round_line(race, warmup, ours, theirs):
    a, b = (median(rates(race, warmup, result)) for result in (ours, theirs))
    memory = " and ".join(f"{result.usage.peak_rss_mb:.0f}" for result in (ours, theirs))
    return f"{a:.2f} and {b:.2f} {UNITS[race.stage]}/s, ratio {a / b:.2f}; {memory} MB"


def result(race, warmup, rounds, differences, peak_gflops):
    """The race's figures under the names that they have in the JSON line."""
    sides = dict(zip(SIDES, zip(*rounds)))
    by_round = {side: [median(rates(race, warmup, result)) for result in its] for side, its in sides.items()}
    rate = {
        side: median(rate for result in its for rate in rates(race, warmup, result)) for side, its in sides.items()
    }
    ratios = [ours / theirs for ours, theirs in zip(*by_round.values())]
    memory = {side: median(result.usage.peak_rss_mb for result in its) for side, its in sides.items()}
    figures = dict(
        unit=f"{UNITS[race.stage]}/s",
        ours=rate["ours"],
        theirs=rate["theirs"],
        ratio=rate["ours"] / rate["theirs"],
        ratio_of_each_round=ratios,
        peak_rss_mb=memory,
        peak_rss_ratio=memory["ours"] / memory["theirs"],
        largest_difference={name: max(alike[name] for alike in differences) for name in differences[0]},
        other_cores={side: [result.usage.other_cores for result in its] for side, its in sides.items()},
    )
    if race.stage == "grpo":
        figures |= group_figures(race, warmup, sides)
    elif race.stage != "generate":
        figures |= training_figures(race, warmup, sides, peak_gflops)
    return figures


def group_figures(race, warmup, sides):
    """What a step on own completions is made of: seconds, the share of them spent generating, and tokens generated a
    second (TRL's by transformers' generate, prompts' prefill included on both sides)."""

    def of_steps(value):
        return {side: median(value(step) for result in its for step in result.steps[warmup:]) for side, its in sides.items()}

    tokens = race.batch_size * race.group_size * race.new_tokens
    speed = of_steps(lambda step: tokens / step["generation_seconds"])
    return dict(
        step_seconds=of_steps(lambda step: step["step_time"]),
        generation_share=of_steps(lambda step: step["generation_seconds"] / step["step_time"]),
        generated_tokens_per_second=speed,
        generation_ratio=speed["ours"] / speed["theirs"],
        seconds_outside_steps={
            side: median(result.usage.seconds - sum(step["step_time"] for step in result.steps) for result in its)
            for side, its in sides.items()
        },
        cpu_seconds={side: median(result.usage.cpu_seconds for result in its) for side, its in sides.items()},
    )


def training_figures(race, warmup, sides, peak_gflops):
    """What only training has: time outside the steps, what a batch holds, and the share of the machine's peak."""
    figures = dict(
        step_seconds={
            side: median(step["step_time"] for result in its for step in result.steps[warmup:])
            for side, its in sides.items()
        },
        seconds_outside_steps={
            side: median(result.usage.seconds - sum(step["step_time"] for step in result.steps) for result in its)
            for side, its in sides.items()
        },
        cpu_seconds={side: median(result.usage.cpu_seconds for result in its) for side, its in sides.items()},
        losses={side: [step["loss"] for step in its[0].steps] for side, its in sides.items()},
        per_step=dict(
            tokens_of_theirs=sides["theirs"][0].steps[-1]["num_tokens"] / len(sides["theirs"][0].steps),
            positions_of_theirs=fmean(step["positions"] for step in sides["theirs"][0].steps),
            tokens_with_prompts_once=sum(map(sum, race.counts)) / len(sides["ours"][0].steps),
            learned_tokens=sum(map(learned(race.stage), race.counts)) / len(sides["ours"][0].steps),
        ),
    )
    if peak_gflops:
        config = json.loads((race.model / "config.json").read_text())
        size = race.batch_size
        step_gflops = peak.reward_step_gflops if race.stage == "reward" else peak.dpo_step_gflops
        work = [
            step_gflops(config, race.counts[start : start + size])
            for start in range(0, len(race.counts), size)
        ]
        figures["sgemm_peak_gflops"] = peak_gflops
        figures["share_of_sgemm_peak"] = {
            side: median(
                gflop / step["step_time"] / peak_gflops
                for result in its
                for gflop, step in list(zip(work, result.steps))[warmup:]
            )
            for side, its in sides.items()
        }
    return figures


def learned(stage):
    """How many tokens of a row, by the lengths of its parts, have a part in the loss: for reward models the last of
    each answer, else all of the answers."""
    return (lambda lengths: len(lengths) - 1) if stage == "reward" else (lambda lengths: sum(lengths[1:]))


def show(result):
    """The result for reading."""
    peer = f"TRL, {result['mode']}"
    if result["stage"] == "generate":
        peer = result["mode"] if result["mode"] == "llama.cpp" else f"transformers, {result['mode']}"
    ratios = result["ratio_of_each_round"]
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"\n{result['stage']}, {result['model']}, {result['data']}; {result['threads']} threads of {result['cpu']}")
    row(result["unit"], "candle-align", peer, "ratio")
    row("median", *(f"{result[side]:.2f}" for side in SIDES), f"{result['ratio']:.2f} ({spread})")
    row("peak RSS, MB", *(f"{result['peak_rss_mb'][side]:.0f}" for side in SIDES), f"{result['peak_rss_ratio']:.2f}")
    if "step_seconds" in result:
        row("CPU seconds of a round", *(f"{result['cpu_seconds'][side]:.1f}" for side in SIDES))
        row("seconds per step", *(f"{result['step_seconds'][side]:.3f}" for side in SIDES))
        row("seconds outside steps", *(f"{result['seconds_outside_steps'][side]:.1f}" for side in SIDES))
    if "generation_share" in result:
        row("share spent generating", *(f"{100 * result['generation_share'][side]:.0f} %" for side in SIDES))
        speed = (f"{result['generated_tokens_per_second'][side]:.0f}" for side in SIDES)
        row("generated tokens/s", *speed, f"{result['generation_ratio']:.2f}")
    if "per_step" in result:
        per_step = result["per_step"]
        computed = (per_step["tokens_with_prompts_once"], per_step["positions_of_theirs"])
        row("positions of a step", *(f"{count:.0f}" for count in computed))
        row("tokens that are learned", f"{per_step['learned_tokens']:.0f}")
    if "share_of_sgemm_peak" in result:
        shares = (f"{100 * result['share_of_sgemm_peak'][side]:.0f} %" for side in SIDES)
        row(f"share of {result['sgemm_peak_gflops']:.0f} GFLOP/s", *shares)
    differences = result["largest_difference"].items()
    if differences:
        print("  largest differences: " + ", ".join(f"{name} {apart:.0e}" for name, apart in differences))
    others = [other for its in result["other_cores"].values() for other in its if other is not None]
    if others and max(others) > machine.QUIET:
        print(
            f"WARNING: other processes kept up to {max(others):.1f} cores busy; more than {machine.QUIET} makes times "
            "unusable (an OpenMP program suffers most): race again on a quiet machine"
        )


def row(*cells):
    print("  " + "".join(f"{cell:<24}" for cell in cells).rstrip())
