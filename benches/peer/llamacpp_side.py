"""llama.cpp's side of the generation race: its server on loopback, as people run it, with a slot for every prompt.

Called by race.py with a JSON object of settings: model (a GGUF file), prompts (token ids), out, new_tokens, repeats, threads.
Greedy, EOS ignored. All prompts are asked at once; a first round warms up. No prompt is cached from one round to the next.
"""

import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xllamacpp


def server(asked):
    params = xllamacpp.CommonParams()
    params.model.path = asked["model"]
    params.n_parallel = len(asked["prompts"])
    longest = max(map(len, asked["prompts"])) + asked["new_tokens"]
    params.n_ctx = params.n_parallel * (longest + 31) // 32 * 32
    params.kv_unified = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    params.n_gpu_layers = 0
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.warmup = False
    return xllamacpp.Server(params)


def main():
    asked = json.loads(sys.argv[1])
    peer = server(asked)

    def complete(ids):
        body = dict(prompt=ids, n_predict=asked["new_tokens"], temperature=0, ignore_eos=True, return_tokens=True)
        request = urllib.request.Request(f"{peer.listening_address}/completion", json.dumps(body).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["tokens"]

    seconds = []
    with ThreadPoolExecutor(len(asked["prompts"])) as pool:
        for _ in range(1 + asked["repeats"]):
            began = time.perf_counter()
            ids = list(pool.map(complete, asked["prompts"]))
            seconds.append(time.perf_counter() - began)
    Path(asked["out"]).write_text(json.dumps(dict(seconds=seconds[1:], tokens=sum(map(len, ids)), ids=ids)))


if __name__ == "__main__":
    main()
