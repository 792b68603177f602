"""TRL's GRPOTrainer as a side of a race, in a process of its own: trains some steps and writes what each took and was.

Called by race.py with a JSON object of settings: mode, model, data, out, batch_size (prompts of a step), group_size,
new_tokens, steps, learning_rate, pattern, threads. A step's time is sampling, rewards and update; logging is not in it.
"""

import json
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from trl_side import BEST, Stopwatch


class Sampling(GRPOTrainer):
    """Notes how long each generation took."""

    def __init__(self, *arguments, **named):
        self.generation_seconds = []
        super().__init__(*arguments, **named)

    def _generate_single_turn(self, *arguments, **named):
        began = time.perf_counter()
        completions = super()._generate_single_turn(*arguments, **named)
        self.generation_seconds.append(time.perf_counter() - began)
        return completions


def main():
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    disable_progress_bars()
    warnings.filterwarnings("ignore")
    pattern = re.compile(asked["pattern"])

    def found(completions, **_):
        return [float(pattern.search(text) is not None) for text in completions]

    rows = [json.loads(line) for line in Path(asked["data"]).read_text(encoding="utf-8").splitlines()]
    watch, began = Stopwatch(), time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        options = dict(
            BEST if asked["mode"] == "best" else {},
            output_dir=scratch,
            per_device_train_batch_size=asked["batch_size"] * asked["group_size"],
            num_generations=asked["group_size"],
            max_completion_length=asked["new_tokens"],
            learning_rate=asked["learning_rate"],
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=1.0,
            shuffle_dataset=False,
            seed=0,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            max_steps=asked["steps"],
        )
        trainer = Sampling(
            model=AutoModelForCausalLM.from_pretrained(asked["model"], dtype=torch.float32),
            reward_funcs=found,
            args=GRPOConfig(**options),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(asked["model"], padding_side="left"),
            callbacks=[watch],
        )
        set_up = time.perf_counter() - began
        trainer.train()
    seconds = trainer.generation_seconds
    steps = [step | dict(generation_seconds=taken) for step, taken in zip(watch.steps, seconds, strict=True)]
    Path(asked["out"]).write_text(json.dumps(dict(steps=steps, set_up_seconds=set_up)))


if __name__ == "__main__":
    main()
