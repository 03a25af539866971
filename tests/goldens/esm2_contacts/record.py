import json, os, random, sys
import torch
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer
from safetensors.torch import save_file
out = sys.argv[1]; seed = int(sys.argv[2]); hidden, layers, heads = map(int, sys.argv[3:6])
os.makedirs(out, exist_ok=True)
torch.manual_seed(seed); rng = random.Random(seed)
vocab = ["<cls>","<pad>","<eos>","<unk>","L","A","G","V","S","E","R","T","I","D","P","K","Q","N","F","Y","M","H","W","C","X","B","U","Z","O",".","-","<null_1>","<mask>"]
open(f"{out}/vocab.txt","w").write("\n".join(vocab))
cfg = EsmConfig(vocab_size=33, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=2*hidden, position_embedding_type="rotary", token_dropout=True,
    emb_layer_norm_before=False, layer_norm_eps=1e-5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=66, pad_token_id=1, mask_token_id=32)
cfg._attn_implementation = "eager"
m = EsmForMaskedLM(cfg).eval()
with torch.no_grad():
    for n, p in m.named_parameters():
        if p.dim() > 1 and "contact" not in n: p.mul_(12.0)   # attention that is far from uniform
    m.esm.contact_head.regression.weight.normal_(0, 8.0); m.esm.contact_head.regression.bias.normal_(0, 1.0)
m.save_pretrained(out)
tok = EsmTokenizer(f"{out}/vocab.txt")
letters = "LAGVSERTIDPKQNFYMHWC"
seqs = ["".join(rng.choice(letters) for _ in range(n)) for n in (11, 2, 1, 19, 7)]
expected = {}
for i, s in enumerate(seqs):
    b = tok(s, return_tensors="pt")
    with torch.no_grad():
        expected[f"input_ids.{i}"] = b["input_ids"][0].clone()
        expected[f"contacts.{i}"] = m.esm.predict_contacts(b["input_ids"], b["attention_mask"])[0].contiguous()
        o = m(**b); expected[f"logits.{i}"] = o.logits[0].contiguous()
save_file(expected, f"{out}/expected.safetensors")
json.dump({"family": "esm_contacts", "source": "transformers " + __import__("transformers").__version__, "tolerance": {"atol": 1e-4, "rtol": 1e-3}, "sequences": seqs}, open(f"{out}/case.json","w"), indent=1)
for i in range(len(seqs)): print(seqs[i], expected[f"contacts.{i}"].shape, expected[f"contacts.{i}"].min().item(), expected[f"contacts.{i}"].max().item(), bool(expected[f"contacts.{i}"].isnan().any()))
