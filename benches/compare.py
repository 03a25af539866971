"""Compares an encoder's speed with PyTorch's in one run: forward, and a training step (forward, backward, AdamW).

    cargo build --release -p mgx-benches
    python benches/compare.py            # needs torch; two threads; prints the ratios as JSON

Both work on the same 256 real proteins in batches of 8 of similar length, in f32. PyTorch uses scaled-dot-product attention on padded batches with a key mask, and both
take turns batch by batch, so that a change of the machine's speed meets both. A ratio is PyTorch's time divided by ours: above 1 we are faster.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--batches", type=int, default=16)
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(options.threads)

import torch  # noqa: E402  (after the thread settings)
import torch.nn.functional as F  # noqa: E402

torch.set_num_threads(options.threads)
HIDDEN, LAYERS, HEADS, FFN, VOCAB = 320, 6, 20, 1280, 44
HERE = pathlib.Path(__file__).parent


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_attn, self.norm_ffn = torch.nn.LayerNorm(HIDDEN), torch.nn.LayerNorm(HIDDEN)
        self.query, self.key, self.value, self.out = (torch.nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.up, self.down = torch.nn.Linear(HIDDEN, FFN), torch.nn.Linear(FFN, HIDDEN)

    def forward(self, x, mask, cos, sin):
        n, length, _ = x.shape
        heads = lambda y: y.view(n, length, HEADS, HIDDEN // HEADS).transpose(1, 2)
        rotate = lambda y: torch.cat((-y[..., y.shape[-1] // 2 :], y[..., : y.shape[-1] // 2]), dim=-1)
        u = self.norm_attn(x)
        q, k, v = heads(self.query(u)), heads(self.key(u)), heads(self.value(u))
        q, k = q * cos + rotate(q) * sin, k * cos + rotate(k) * sin
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(a.transpose(1, 2).reshape(n, length, HIDDEN))
        return x + self.down(F.gelu(self.up(self.norm_ffn(x))))


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.word = torch.nn.Embedding(VOCAB, HIDDEN)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm, self.head = torch.nn.LayerNorm(HIDDEN), torch.nn.Linear(HIDDEN, 1)

    def forward(self, ids, real):
        length, dim = ids.shape[1], HIDDEN // HEADS
        frequency = 1.0 / 10000 ** (torch.arange(0, dim, 2).float() / dim)
        angle = torch.outer(torch.arange(length).float(), frequency)
        cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
        mask = None if bool(real.all()) else real[:, None, None, :]
        x = self.word(ids)
        for layer in self.layers:
            x = layer(x, mask, cos, sin)
        x = self.norm(x)
        pooled = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        return self.head(pooled)


def batches():
    with open(HERE / "data/proteins.tsv", newline="") as file:
        rows = sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: len(row["sequence"]))
    letters = "LAGVSERTIDPKQNFYMHWCXBUZO"
    out = []
    for start in range(0, len(rows), 8):
        part = rows[start : start + 8]
        length = max(len(row["sequence"]) for row in part) + 1
        ids = torch.zeros(len(part), length, dtype=torch.long)
        real = torch.zeros(len(part), length, dtype=torch.bool)
        for i, row in enumerate(part):
            tokens = [letters.index(letter) + 1 for letter in row["sequence"]] + [34]
            ids[i, : len(tokens)] = torch.tensor(tokens)
            real[i, : len(tokens)] = True
        out.append((ids, real, torch.tensor([[float(row["hydrophobic"])] for row in part])))
    return out


class Ours:
    """The other side, a process that does a batch when told to and answers with the seconds it took."""

    def __init__(self):
        program = HERE.parent / "target/release/encoder"
        self.process = subprocess.Popen([program, str(HERE / "encoder.mgx")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what, batch):
        self.process.stdin.write(f"{what} {batch}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("the program under test stopped")
        return float(answer)


def main():
    torch.manual_seed(0)
    model, data, ours = Encoder(), batches(), Ours()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    step = len(data) / options.batches
    chosen = [int(i * step) for i in range(options.batches)]

    def forward(batch):
        ids, real, _ = data[batch]
        model.eval()
        with torch.no_grad():
            model(ids, real)

    def train(batch):
        ids, real, target = data[batch]
        model.train()
        optimizer.zero_grad()
        F.mse_loss(model(ids, real), target).backward()
        optimizer.step()

    result = {"threads": options.threads, "torch": torch.__version__}
    for name, peer in (("forward", forward), ("step", train)):
        theirs_total, ours_total, ratios = 0.0, 0.0, []
        for round_ in range(options.rounds + 1):
            theirs, mine = 0.0, 0.0
            for batch in chosen:
                start = time.perf_counter()
                peer(batch)
                theirs += time.perf_counter() - start
                mine += ours.ask(name, batch)
            if round_ > 0:  # the first round warms up
                ratios.append(theirs / mine)
                theirs_total += theirs
                ours_total += mine
        result[name] = {
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "torch_s": round(theirs_total / options.rounds, 4),
            "mgx_s": round(ours_total / options.rounds, 4),
        }
    print(json.dumps(result, indent=1))


main()
