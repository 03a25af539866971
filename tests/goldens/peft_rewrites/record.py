"""Records `adapters/*` and `expected.safetensors` with the public PEFT library; run in this folder."""

import json
import sys

import peft
import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
hidden, inner = 6, 10
texts = ["ACGT", "GG", "TACCATG"]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(hidden, inner)
        self.second = nn.Linear(inner, hidden)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(4, hidden)
        self.block = Block()

    def forward(self, ids):
        x = self.words(ids)
        return x + self.block.second(torch.tanh(self.block.first(x)))


base = Tiny()
state = {key: value.clone() for key, value in base.state_dict().items()}
save_file(state, "model.safetensors")
json.dump({"hidden_size": hidden, "inner_size": inner}, open("config.json", "w"))
both = ["first", "second"]
adapters = {
    "lora": peft.LoraConfig(r=3, lora_alpha=5, lora_dropout=0.0, target_modules=both),
    "rslora": peft.LoraConfig(r=4, lora_alpha=3, lora_dropout=0.0, target_modules=["second"], use_rslora=True, modules_to_save=["first"]),
    "dora": peft.LoraConfig(r=2, lora_alpha=4, lora_dropout=0.0, target_modules=both, use_dora=True),
    "ia3": peft.IA3Config(target_modules=both, feedforward_modules=["second"]),
}
expected = {}
for name, config in adapters.items():
    net = Tiny()
    net.load_state_dict(state)
    model = peft.get_peft_model(net, config)
    trained = {key: value for key, value in model.named_parameters() if value.requires_grad}
    for key, value in trained.items():
        # Away from where they start, where much is zero or one.
        value.data += 0.3 * torch.randn_like(value)
    model.save_pretrained(f"adapters/{name}")
    total = 0
    for index, text in enumerate(texts):
        out = model(torch.tensor(["ACGT".index(letter) for letter in text]))
        expected[f"{name}.out.{index}"] = out.detach()
        total = total + (out * out).sum()
    total.backward()
    for key, value in trained.items():
        stored = key.replace("base_model.model.", "").replace("modules_to_save.", "").replace("default.", "").replace(".default", "")
        stored = stored.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
        expected[f"{name}.grad.{stored}"] = value.grad
save_file({key: value.contiguous() for key, value in expected.items()}, "expected.safetensors")
case = {
    "family": "rewrites",
    "reference": "the PEFT library",
    "call": "record.py",
    "program": "tiny.mgx",
    "backbone": "tiny",
    "texts": texts,
    "adapters": {"lora": "lora", "rslora": "lora", "dora": "dora", "ia3": "ia3"},
    "tolerance": {"atol": 1e-5, "rtol": 1e-5},
    "versions": {"peft": peft.__version__, "torch": torch.__version__},
}
json.dump(case, open("case.json", "w"), indent=1)
