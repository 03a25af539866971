"""Records this case: `python record.py FOLDER`, with torch, transformers and safetensors installed."""

import json
import sys

import torch
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel

VOCABULARY = ["<pad>", "</s>", "<unk>", *"ALGVSREDTIPKFQNYMHWCXBOUZ"]
TEXTS = ["MKTAYIAKQRQISFVKSHFSRQ", "PRTEIN", "SEQWENCEXBZ" * 20]
SIZES = dict(
    vocab_size=128, d_model=24, d_kv=6, d_ff=40, num_layers=3, num_heads=5,
    relative_attention_num_buckets=32, relative_attention_max_distance=128,
    dropout_rate=0.1, layer_norm_epsilon=1e-6, feed_forward_proj="relu",
)


def main(folder):
    torch.manual_seed(7)
    model = T5EncoderModel(T5Config(**SIZES, is_encoder_decoder=False, use_cache=False)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.dim() > 1 else 0.1) + (parameter.dim() == 1))
    state = {key: value.clone() for key, value in model.state_dict().items() if key != "encoder.embed_tokens.weight"}
    save_file(state, f"{folder}/model.safetensors")
    recorded = {}
    for index, text in enumerate(TEXTS):
        ids = torch.tensor([VOCABULARY.index(letter) for letter in text] + [1])
        with torch.no_grad():
            states = model(input_ids=ids[None], output_hidden_states=True).hidden_states
        recorded[f"input_ids.{index}"] = ids
        for layer, state_of_layer in enumerate(states):
            recorded[f"hidden_states.{layer}.{index}"] = state_of_layer[0].contiguous()
    save_file(recorded, f"{folder}/expected.safetensors")
    layers = SIZES["num_layers"]
    taps = {"hidden_states.0": "encoder.word"}
    taps |= {f"hidden_states.{layer}": f"encoder.layer[{layer - 1}]" for layer in range(1, layers)}
    taps |= {f"hidden_states.{layers}": "encoder.norm"}
    case = {
        "family": "program",
        "reference": "T5EncoderModel of transformers 5.23.0, torch 2.15.0, float32, random weights, each sequence alone",
        "program": "../../../examples/prot_t5.mgx",
        "backbone": 'prot_t5(weights = folder("."))',
        "column": "protein",
        "texts": TEXTS,
        "taps": taps,
        "parameters": sum(value.numel() for value in state.values()),
        "tolerance": {"atol": 1e-5, "rtol": 1e-5},
    }
    for name, content in (("config.json", {"model_type": "t5", **SIZES}), ("case.json", case)):
        with open(f"{folder}/{name}", "w") as file:
            json.dump(content, file, indent=1)


main(sys.argv[1])
