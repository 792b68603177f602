"""The machine's matrix-product peak, and what a step on pairs has to compute: their ratio is the share that it reaches.

    python peak.py THREADS        # prints GFLOP/s: the best of a second of float32 products, by PyTorch's BLAS

What is counted is what no implementation can leave out: every token of a prompt once for both of its answers, heads for
completion tokens only, causal attention. Recomputation, padding and the optimizer count as nothing.
"""

import sys
import time

SIZE = 2048


def sgemm_gflops(threads):
    import torch

    torch.set_num_threads(threads)
    a, b = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
    out, best, until = torch.empty(SIZE, SIZE), 0.0, time.perf_counter() + 1.5
    while time.perf_counter() < until:
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        best = max(best, 2 * SIZE**3 / (time.perf_counter() - began) / 1e9)
    return best


def dpo_step_gflops(config, pairs, attention=True):
    """Forward and backward of one step on `pairs`, lengths of prompt, chosen and rejected; `config` is config.json's.
    Without `attention` its scores and sums are left out: the part that grows faster than the tokens."""
    scored = sum(sum(answers) for _, *answers in pairs)
    head = 2 * config["hidden_size"] * config["vocab_size"] * scored
    return reward_step_gflops(config, pairs, attention) + 3 * head / 1e9


def reward_step_gflops(config, pairs, attention=True):
    """The same for a reward model, whose head is nothing beside the rest."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    queries, keys = heads * head_dim, config["num_key_value_heads"] * head_dim
    weights = hidden * (2 * queries + 2 * keys + 3 * config["intermediate_size"])
    tokens = attended = 0
    for prompt, *answers in pairs:
        tokens += prompt + sum(answers)
        attended += triangle(prompt) + sum(answer * prompt + triangle(answer) for answer in answers)
    attended *= attention
    return 3 * layers * (2 * weights * tokens + 4 * queries * attended) / 1e9


def triangle(n):
    return n * (n + 1) // 2


if __name__ == "__main__":
    print(sgemm_gflops(int(sys.argv[1])))
