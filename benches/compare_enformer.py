"""Compares Enformer's forward pass (published size, 196,608 letters, random weights, eval mode) with enformer-pytorch's in one run, turn by turn.

    cargo build --release -p mgx-benches -p mgxc
    python benches/compare_enformer.py        # needs torch and enformer-pytorch; two threads; prints JSON

`ratio` is PyTorch's time divided by ours: above 1 we are faster. `peak` is the largest resident size of `mgxc run`, `forecast` what `mgxc plan` said, in bytes.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--no-torch", action="store_true", help="ours alone")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(options.threads)
HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent / "target" / "release"
LENGTH = 196_608

folder = pathlib.Path(tempfile.mkdtemp())
shutil.copy(HERE / "enformer.mgx", folder)
letters = random.Random(0).choices("ACGT", k=LENGTH)
(folder / "enformer.tsv").write_text("sequence\n" + "".join(letters) + "\n")

result = {}
plan = json.loads(subprocess.run([TARGET / "mgxc", "plan", "enformer.mgx", "--json"], cwd=folder, check=True, capture_output=True).stdout)
subprocess.run([TARGET / "mgxc", "run", "enformer.mgx", "--stage", "predict", "--out", "run"], cwd=folder, check=True, capture_output=True)
result["peak"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
result["plan"] = {key: value for key, value in plan.items() if not isinstance(value, (list, dict))}

ours = subprocess.Popen([TARGET / "encoder", folder / "enformer.mgx"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def forward():
    ours.stdin.write("forward 0\n")
    ours.stdin.flush()
    return float(ours.stdout.readline())


times = {"ours": [], "torch": []}
if not options.no_torch:
    import torch
    from enformer_pytorch import Enformer

    torch.set_num_threads(options.threads)
    model = Enformer.from_hparams(use_tf_gamma=False).eval()
    index = torch.tensor(["ACGT".index(letter) for letter in letters])[None]
    with torch.inference_mode():
        for _ in range(options.rounds):
            times["ours"].append(forward())
            start = time.perf_counter()
            model(index, return_only_embeddings=True)
            times["torch"].append(time.perf_counter() - start)
    result["ratio"] = min(times["torch"]) / min(times["ours"])
else:
    times["ours"] = [forward() for _ in range(options.rounds)]
result["seconds"] = times
ours.stdin.close()
shutil.rmtree(folder)
print(json.dumps(result, indent=1))
