"""Whether both sides did the same work: without that, there is no ratio.

The losses alone would not tell. At first they are ln 2 or ln of the vocabulary whatever the data; so the steps' tokens
are compared too, and the log-probs or rewards and the norm of the gradient, which no other rows and no other model would give.
"""

from statistics import fmean

# Relative differences. In bf16, TRL's default, a number has three digits, and updates go apart step by step.
FLOAT32 = {"loss": 1e-3, "logps/chosen": 1e-3, "logps/rejected": 1e-3, "max_reward": 1e-3, "grad_norm": 1e-2}
BFLOAT16 = {"loss": 5e-2, "logps/chosen": 1e-2, "logps/rejected": 1e-2, "max_reward": 0.1, "grad_norm": 0.1}
# Adapters are drawn by each side, so that gradients differ; over a base of 4 bits log-probs do too.
ADAPTER = {"loss": 5e-2, "logps/chosen": 1e-3, "logps/rejected": 1e-3}
FOUR_BITS = {"loss": 5e-2, "logps/chosen": 0.1, "logps/rejected": 0.1}
# Sampled completions are not the same ones: of a group's update, its amount of work is compared, and what the model is
# sure of. A few completions may end early on one side.
SAMPLED = {"num_tokens": 0.02, "entropy": 0.05}
# Share of greedy completions that may be other ones: a tie in the last digit sends one on another way.
OTHER_COMPLETIONS = 0.25


def alike(race, ours, theirs):
    """By what the two sides differ, name by name; ends the program where that is too much."""
    if race.stage == "generate":
        return generated_alike(race, ours, theirs)
    if race.stage == "grpo":
        return sampled_alike(ours.steps, theirs.steps)
    return (packed_alike if race.mode == "packing" else trained_alike)(race, ours.steps, theirs.steps)


def trained_alike(race, ours, trl):
    """The largest relative difference of each quantity over all steps."""
    if len(ours) != len(trl):
        raise SystemExit(f"not the same work: {len(ours)} steps here, {len(trl)} in TRL")
    bounds = {"default": BFLOAT16, "bf16": BFLOAT16, "bf16-8bit": BFLOAT16, "lora": ADAPTER, "qlora": FOUR_BITS}.get(race.mode, FLOAT32)
    worst = {name: 0.0 for name in bounds if name in ours[0]}
    for step, (a, b) in enumerate(zip(ours, trl), 1):
        if a["num_tokens"] != b["num_tokens"]:
            differ(step, "num_tokens", a["num_tokens"], b["num_tokens"])
        for name in worst:
            apart = abs(a[name] - b[name]) / abs(b[name])
            worst[name] = max(worst[name], apart)
            if not apart <= bounds[name]:
                differ(step, name, a[name], b[name], bounds[name])
    return worst


def sampled_alike(ours, trl):
    """The largest relative difference over all steps of what does not depend on the samples."""
    if len(ours) != len(trl):
        raise SystemExit(f"not the same work: {len(ours)} steps here, {len(trl)} in TRL")
    worst = {name: 0.0 for name in SAMPLED}
    for step, (a, b) in enumerate(zip(ours, trl), 1):
        for name, bound in SAMPLED.items():
            apart = abs(a[name] - b[name]) / abs(b[name])
            worst[name] = max(worst[name], apart)
            if not apart <= bound:
                differ(step, name, a[name], b[name], bound)
    return worst


def packed_alike(race, ours, trl):
    """The same for batches that hold other rows together: all tokens, and the mean loss of all learned tokens."""
    if ours[-1]["num_tokens"] != trl[-1]["num_tokens"]:
        differ("last", "num_tokens", ours[-1]["num_tokens"], trl[-1]["num_tokens"])
    learned = [sum(answer for _, answer in rows) for rows in batches(race.counts, race.our_batch_size)]
    packed = [step["labels"] for step in trl]
    if sum(learned) != sum(packed):
        differ("all", "learned tokens", sum(learned), sum(packed))
    a = fmean([step["loss"] for step in ours], learned)
    b = fmean([step["loss"] for step in trl], packed)
    apart = abs(a - b) / b
    if not apart <= FLOAT32["loss"]:
        differ("all", "loss", a, b, FLOAT32["loss"])
    return {"loss": apart}


def generated_alike(race, ours, theirs):
    """The share of completions whose log-probs differ; llama.cpp's server says none of whole texts. In bf16 they differ in the
    third digit, and after the first other token altogether, though all are of what the model holds most likely."""
    if ours.tokens != theirs.tokens:
        differ("all", "tokens", ours.tokens, theirs.tokens)
    if race.mode == "llama.cpp":
        return {}
    bound = 1e-3 if race.mode == "best" else 5e-2
    other = fmean(abs(a - b) > bound * abs(b) for a, b in zip(ours.log_probs, theirs.log_probs, strict=True))
    if other > OTHER_COMPLETIONS:
        raise SystemExit(f"not the same work, so no ratio: {100 * other:.0f} % of the completions are other ones")
    return {"other completions": other}


def batches(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def differ(step, name, ours, theirs, bound=None):
    allowed = f", more than {bound:g} apart" if bound else ""
    raise SystemExit(f"not the same work, so no ratio: step {step}: {name} is {ours} here and {theirs} there{allowed}")
