"""TRL's side of a race, in a process of its own: trains some steps and writes what each took and was.

Called by race.py with a JSON object of settings: stage, mode, model, data, out, batch_size, max_length, steps (null:
one epoch), beta, learning_rate, threads. Times are from the end of one step's log to the end of the next step, so
collation counts and logging does not, as in our `step_time`.
"""

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from datasets import Dataset, disable_progress_bars
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

STAGES = {
    "dpo": (DPOTrainer, DPOConfig, AutoModelForCausalLM),
    "reward": (RewardTrainer, RewardConfig, AutoModelForSequenceClassification),
    "sft": (SFTTrainer, SFTConfig, AutoModelForCausalLM),
}
BEST = dict(bf16=False, gradient_checkpointing=False)
BFLOAT16 = dict(BEST, bf16=True)
# What TRL is told beside what both sides are told.
MODES = {
    ("dpo", "default"): {},
    ("dpo", "best"): dict(BEST, precompute_ref_log_probs=True),
    ("dpo", "bf16"): dict(BFLOAT16, precompute_ref_log_probs=True),
    # In f32, with the optimizer that TRL comes with: what of memory is compared with.
    ("dpo", "bf16-8bit"): dict(BEST, precompute_ref_log_probs=True),
    ("reward", "bf16"): BFLOAT16,
    ("sft", "bf16"): BFLOAT16,
    ("dpo", "lora"): dict(BEST, precompute_ref_log_probs=True),
    # The base is f32 on this side, which is the faster one there: bitsandbytes decodes a whole weight for each product.
    ("dpo", "qlora"): dict(BEST, precompute_ref_log_probs=True),
    ("reward", "default"): {},
    ("reward", "best"): BEST,
    ("sft", "default"): {},
    ("sft", "best"): BEST,
    ("sft", "packing"): dict(BEST, packing=True),
}


class Stopwatch(TrainerCallback):
    def __init__(self):
        self.steps, self.step_time, self.since = [], 0.0, 0.0

    def on_train_begin(self, *_, **__):
        self.since = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.step_time = time.perf_counter() - self.since

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in (logs or {}):
            self.steps.append(dict(logs, step_time=self.step_time))
        self.since = time.perf_counter()


class Counted:
    """A collator that also notes the positions of a batch, and those whose label counts."""

    def __init__(self, collator):
        self.collator, self.batches = collator, []

    def __call__(self, rows):
        batch = self.collator(rows)
        labels = int((batch["labels"] != -100).sum()) if "labels" in batch else None
        self.batches.append(dict(positions=batch["input_ids"].numel(), labels=labels))
        return batch


def main():
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    disable_progress_bars()
    warnings.filterwarnings("ignore")
    trainer_class, config_class, model_class = STAGES[asked["stage"]]
    options = dict(
        MODES[asked["stage"], asked["mode"]],
        per_device_train_batch_size=asked["batch_size"],
        max_length=asked["max_length"],
        learning_rate=asked["learning_rate"],
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        seed=0,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        num_train_epochs=1,
        max_steps=asked["steps"] or -1,
    )
    if asked["stage"] == "dpo":
        options["beta"] = asked["beta"]
    rows = [json.loads(line) for line in Path(asked["data"]).read_text(encoding="utf-8").splitlines()]
    adapter = {}
    if asked["mode"] in ("lora", "qlora"):
        from peft import LoraConfig

        adapter = dict(peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    watch, began = Stopwatch(), time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_class(
            model=model_class.from_pretrained(asked["model"], dtype=torch.float32),
            args=config_class(output_dir=scratch, **options),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(asked["model"]),
            callbacks=[watch],
            **adapter,
        )
        counted = trainer.data_collator = Counted(trainer.data_collator)
        set_up = time.perf_counter() - began
        trainer.train()
    # The collator may have been asked for a batch more than was trained on.
    steps = [step | batch for step, batch in zip(watch.steps, counted.batches)]
    Path(asked["out"]).write_text(json.dumps(dict(steps=steps, set_up_seconds=set_up)))


if __name__ == "__main__":
    main()
