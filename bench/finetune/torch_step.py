"""The other side of one measurement: transformers and PEFT on one thread of torch. Prints JSON.

    torch_step.py FOLDER MODE LEARNING_RATE NEW_TOKENS

MODE is full, lora, "generate 1" or "generate 16".
"""

import json
import resource
import statistics
import sys
import time

import peft
import torch
import transformers

torch.set_num_threads(1)
folder, mode, learning_rate, new_tokens = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
architecture = json.load(open(f"{folder}/model/config.json"))["architectures"][0]
model = getattr(transformers, architecture).from_pretrained(f"{folder}/model", dtype=torch.float32)


def report(**found):
    version = f"torch {torch.__version__}, transformers {transformers.__version__}, PEFT {peft.__version__}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"version": version, "peakMemoryBytes": peak, **found}))


def train():
    global model
    if mode == "lora":
        model = peft.PeftModel.from_pretrained(model, f"{folder}/adapter", is_trainable=True)
    model.train()
    model.config.use_cache = False
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, learning_rate, weight_decay=0)
    losses, seconds, count = [], [], 0
    for batch in json.load(open(f"{folder}/batches.json")):
        tokens = torch.tensor(batch["tokens"])
        labels = torch.tensor(batch["labels"]) if architecture.endswith("Classification") else tokens
        start = time.process_time()
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.process_time() - start)
        count = tokens.numel()
    report(tokensPerSecond=count / statistics.median(seconds[1:]), losses=losses)


def generate(texts):
    model.eval()
    prompts = torch.tensor(json.load(open(f"{folder}/prompts.json"))[:texts])
    settings = dict(attention_mask=torch.ones_like(prompts), do_sample=False, eos_token_id=256, pad_token_id=256)
    model.generate(prompts, max_new_tokens=4, **settings)
    start = time.process_time()
    found = model.generate(prompts, max_new_tokens=new_tokens, **settings)
    seconds = time.process_time() - start
    rows = found[:, prompts.shape[1]:].tolist()
    written = [row[:row.index(256) + 1] if 256 in row else row for row in rows]
    report(tokensPerSecond=sum(map(len, written)) / seconds, written=written)


generate(int(mode.split()[1])) if mode.startswith("generate") else train()
