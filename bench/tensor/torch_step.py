"""The step of Step.ts in PyTorch, on one thread: layers width heads context vocabulary batch. Prints JSON."""

import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
layers, width, heads, context, vocabulary, batch = (int(text) for text in sys.argv[1:])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        rows, time_, _ = x.shape
        parts = self.attention(self.norm1(x)).split(width, 2)
        q, k, v = (part.view(rows, time_, heads, width // heads).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(rows, time_, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks, self.norm = nn.ModuleList([Block() for _ in range(layers)]), nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.wte.weight.T


torch.manual_seed(0)
model = Transformer()
optimizer = torch.optim.SGD(model.parameters(), 0.01)
text = torch.randint(0, vocabulary, (batch, context + 1))


def step():
    logits = model(text[:, :-1])
    loss = F.cross_entropy(logits.reshape(-1, vocabulary), text[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


durations = []
for _ in range(23):
    start = time.perf_counter()
    step()
    durations.append(time.perf_counter() - start)
print(json.dumps({"version": torch.__version__, "milliseconds": 1000 * statistics.median(durations[3:])}))
