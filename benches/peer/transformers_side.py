"""transformers' side of the generation race, in a process of its own: the model is loaded once, one call of `generate`
warms up, the others are timed, loading excluded and prefill included.

Called by race.py with a JSON object of settings: model, data, out, dtype, new_tokens, repeats, threads. Greedy, with the KV cache, left padding, and EOS forbidden so that every completion has `new_tokens` tokens.
"""

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


@torch.inference_mode()
def log_probs(model, inputs, sequences):
    """Sum over each completion's tokens of their log-probs, in a forward pass that is not timed."""
    prompt = inputs["input_ids"].shape[1]
    mask = torch.cat([inputs["attention_mask"], torch.ones_like(sequences[:, prompt:])], dim=1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    sums = []
    for row, its_mask, its_positions in zip(sequences, mask, positions):
        logits = model(row[None], attention_mask=its_mask[None], position_ids=its_positions[None]).logits[0]
        predicted = logits[prompt - 1 : -1].float().log_softmax(-1)
        sums.append(float(predicted.gather(1, row[prompt:, None]).sum()))
    return sums


def main():
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    tokenizer = AutoTokenizer.from_pretrained(asked["model"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(asked["model"], dtype=asked["dtype"]).eval()
    prompts = [json.loads(line)["prompt"] for line in Path(asked["data"]).read_text(encoding="utf-8").splitlines()]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    new = dict(max_new_tokens=asked["new_tokens"], min_new_tokens=asked["new_tokens"])
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + asked["repeats"]):
            began = time.perf_counter()
            sequences = model.generate(**inputs, do_sample=False, **new)
            seconds.append(time.perf_counter() - began)
    tokens = sequences[:, inputs["input_ids"].shape[1] :].numel()
    result = dict(seconds=seconds[1:], tokens=tokens, log_probs=log_probs(model, inputs, sequences))
    Path(asked["out"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
