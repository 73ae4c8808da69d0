#!/usr/bin/env python3
"""Make the oracle goldens of tests/golden/models with Hugging Face transformers.

    python3 tools/make_goldens.py OUT_DIR

Needs torch and transformers (made for torch 2.11, transformers 5.17; CPU only, about a minute). Writes one directory per tiny
random-weight model, in Hugging Face layout (config.json, generation_config.json, tokenizer.json, tokenizer_config.json,
safetensors), each with golden.json:

    {"model": name, "transformers": "5.17.0", "torch": "2.11.0", "seed": 1234, "parameters": 93344,
     "config": {...what was asked for...},
     "inv_freq": [...],                       the rotary embedding's inverse frequencies, f32
     "prompts": [{"length": 7, "ids": [...],
                  "positions": [0, 3, 6],     positions of the prompt whose logits follow (the last is always there)
                  "logits": [[vocab floats] per position],
                  "greedy": [64 ids],         argmax continuation
                  "greedy_gap_min": 0.05,     smallest difference of the two largest logits over those 64 steps
                  "logits_after_greedy": [vocab floats]}]}   after prompt + greedy

All numbers come from a float32 forward with eager attention and without a cache, of the files as they were saved and loaded
again. Weights are scaled up so that logits are spread; a prompt is drawn again until no greedy step is near a tie
and no control token appears, so an engine must reproduce "greedy" exactly. The run is deterministic for one torch version.
"""

import hashlib
import json
import math
import os
import shutil
import sys

import torch
import transformers

SEED = 1234
VOCAB = 288            # rows of the embedding; more than the tokenizer has, as in the published models
GREEDY_TOKENS = 64
GAP_WANTED = 4e-3      # drawn again below this
GAP_REQUIRED = 1e-3    # checked at the end
DIRECTORY_BYTES_MAX = 500_000
TOTAL_BYTES_MAX = 3_000_000
MAJOR = int(transformers.__version__.split(".")[0])

CONTROL = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"]
SHOWN = ["<think>", "</think>"]
MERGES = ["Ġ t", "h e", "i n", "Ġt he", "a n", "e r", "o n", "Ġ a", "Ġ s", "r e", "Ġ w", "n d", "o u", "i s", "Ġ b", "a t"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
    "{% else %}{{ '<|assistant|>' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

PLAIN = {"rope_type": "default"}
# original context 64 and head_dim 16: one frequency is kept, two are blended, the others divided by 8.
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

# name -> model type, its own settings, rope (theta apart), dtype of the files, size of a shard (None: one file). Others may
# be given for larger models (tools/gpu_oracle.py does): hidden, vocab, context, spread, sharpness
# (the spread of what attention scores are made of).
MODELS = {
    "qwen2_untied": dict(
        type="qwen2", heads=4, kv=2, ffn=96, layers=2, tied=False, theta=1000000.0, rope=PLAIN, shard="200KB"),
    "qwen2_tied": dict(type="qwen2", heads=4, kv=2, ffn=96, layers=2, tied=True, theta=10000.0, rope=PLAIN),
    "qwen2_bf16": dict(
        type="qwen2", heads=4, kv=2, ffn=96, layers=3, tied=False, theta=1000000.0, rope=PLAIN, dtype="bfloat16"),
    "llama": dict(type="llama", heads=2, kv=1, head_dim=32, ffn=96, layers=2, tied=False, theta=10000.0, rope=PLAIN),
    "llama3": dict(type="llama", heads=4, kv=2, head_dim=16, ffn=96, layers=2, tied=True, theta=10000.0, rope=LLAMA3),
    "llama_bias": dict(
        type="llama", heads=4, kv=4, head_dim=16, ffn=64, layers=2, tied=True, theta=500000.0, rope=PLAIN, bias=True),
    "qwen3": dict(type="qwen3", heads=4, kv=2, head_dim=32, ffn=64, layers=2, tied=True, theta=1000000.0, rope=PLAIN),
}
HIDDEN = 64
CONTEXT = 512
SPREAD = 0.16  # deviation of a matrix' values when hidden is 64; falls with the root of hidden
PROMPT_LENGTHS = [1, 7, 40, 150]  # 150 is beyond llama3's original context


def byte_characters():
    """The printable character that byte-level BPE uses for each byte (GPT-2's table)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {}, 0
    for byte in range(256):
        if byte in kept:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def tokenizer_vocab():
    vocab = {character: byte for byte, character in byte_characters().items()}
    for merge in MERGES:
        vocab[merge.replace(" ", "")] = len(vocab)
    return vocab


def token_ids():
    first = len(tokenizer_vocab())
    return {token: first + i for i, token in enumerate(CONTROL + SHOWN)}


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")


def write_tokenizer(directory):
    ids = token_ids()
    added = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": token in CONTROL}
        for token, i in ids.items()
    ]
    split = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    pre_tokenizer = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    write_json(os.path.join(directory, "tokenizer.json"), {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": pre_tokenizer, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": tokenizer_vocab(),
                  "merges": MERGES},
    })
    write_json(os.path.join(directory, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "bos_token": "<|begin|>",
        "eos_token": "<|end|>", "pad_token": "<|end|>", "add_bos_token": False, "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    })


def make_config(model):
    ids = token_ids()
    settings = dict(
        vocab_size=model.get("vocab", VOCAB), hidden_size=model.get("hidden", HIDDEN),
        intermediate_size=model["ffn"], num_hidden_layers=model["layers"], num_attention_heads=model["heads"],
        num_key_value_heads=model["kv"], max_position_embeddings=model.get("context", CONTEXT),
        rms_norm_eps=1e-5 if model["type"] == "llama" else 1e-6, tie_word_embeddings=model["tied"],
        bos_token_id=ids["<|begin|>"], eos_token_id=ids["<|end|>"])
    if "head_dim" in model:
        settings["head_dim"] = model["head_dim"]
    if model["type"] == "llama":
        settings["attention_bias"] = settings["mlp_bias"] = model.get("bias", False)
    if MAJOR >= 5:
        settings["rope_parameters"] = {**model["rope"], "rope_theta": model["theta"]}
    else:
        settings["rope_theta"] = model["theta"]
        settings["rope_scaling"] = None if model["rope"] is PLAIN else dict(model["rope"])
    kind = {"qwen2": "Qwen2", "llama": "Llama", "qwen3": "Qwen3"}[model["type"]]
    config = getattr(transformers, kind + "Config")(**settings)
    config._attn_implementation = "eager"
    return config, getattr(transformers, kind + "ForCausalLM"), settings


def random_tensor(name, shape):
    """Normal numbers that depend only on the name and SEED."""
    digest = hashlib.sha256(f"{SEED}/{name}".encode()).digest()
    generator = torch.Generator(device="cpu").manual_seed(int.from_bytes(digest[:6], "little"))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def fill(model_name, model, network):
    """Spread weights: attention scores of order 1, logits with a standard deviation of about 2.5."""
    scale = math.sqrt(HIDDEN / model.get("hidden", HIDDEN))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = random_tensor(f"{model_name}/{name}", parameter.shape)
            if name.endswith("norm.weight"):
                value = 1.0 + 0.2 * noise
            elif name.endswith(".bias"):
                value = 0.3 * noise
            elif "embed_tokens" in name or "lm_head" in name:
                value = 0.3 * scale * noise
            else:
                sharp = "q_proj" in name or "k_proj" in name
                value = model.get("sharpness" if sharp else "spread", SPREAD) * scale * noise
            parameter.copy_(value)


def expected_inv_freq(model):
    """The same frequencies from the published formulas, so that a misread configuration is noticed here."""
    head_dim = model.get("head_dim", model.get("hidden", HIDDEN) // model["heads"])
    frequencies = [model["theta"] ** (-2.0 * i / head_dim) for i in range(head_dim // 2)]
    rope = model["rope"]
    if rope["rope_type"] == "default":
        return frequencies
    context, low, high = (rope[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
    scaled = []
    for frequency in frequencies:
        wavelength = 2.0 * math.pi / frequency
        if wavelength > context / low:
            scaled.append(frequency / rope["factor"])
        elif wavelength < context / high:
            scaled.append(frequency)
        else:
            smooth = (context / wavelength - low) / (high - low)
            scaled.append((1.0 - smooth) * frequency / rope["factor"] + smooth * frequency)
    return scaled


def check_inv_freq(name, model, network):
    actual = network.model.rotary_emb.inv_freq.detach().float().tolist()
    expected = expected_inv_freq(model)
    assert len(actual) == len(expected), (name, len(actual), len(expected))
    for a, e in zip(actual, expected):
        assert abs(a - e) <= 1e-5 * abs(e), (name, "inv_freq", actual, expected)
    return actual


@torch.no_grad()
def forward(network, ids):
    """Logits [len(ids), VOCAB] of one sequence, float32."""
    logits = network(input_ids=torch.tensor([ids], dtype=torch.long), use_cache=False).logits[0]
    assert logits.dtype == torch.float32 and logits.shape == (len(ids), VOCAB), (logits.dtype, logits.shape)
    assert torch.isfinite(logits).all()
    return logits


def greedy(network, prompt):
    """GREEDY_TOKENS argmax tokens and the smallest gap between the two largest logits."""
    ids, gap_min = list(prompt), float("inf")
    for _ in range(GREEDY_TOKENS):
        best = torch.topk(forward(network, ids)[-1], 2)
        gap_min = min(gap_min, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[len(prompt):], gap_min


def draw_prompt(name, length, attempt):
    digest = hashlib.sha256(f"{SEED}/{name}/prompt/{length}/{attempt}".encode()).digest()
    generator = torch.Generator(device="cpu").manual_seed(int.from_bytes(digest[:6], "little"))
    limit = len(tokenizer_vocab())  # no control tokens in a prompt
    return torch.randint(0, limit, (length,), generator=generator).tolist()


def make_prompt(name, network, length):
    forbidden = set(token_ids().values()) - {token_ids()[token] for token in SHOWN}
    for attempt in range(300):
        prompt = draw_prompt(name, length, attempt)
        continuation, gap = greedy(network, prompt)
        if gap >= GAP_WANTED and not forbidden & set(continuation):
            break
    else:
        raise SystemExit(f"{name}: no prompt of {length} tokens without a near tie; change SEED")
    assert gap >= GAP_REQUIRED
    positions = sorted({0, length // 2, length - 1})
    logits = forward(network, prompt)
    after = forward(network, prompt + continuation)[-1]
    print(f"  {name:13} prompt {length:4}: attempts {attempt + 1:3}, gap_min {gap:.4f}, distinct greedy tokens "
          f"{len(set(continuation)):3}, logits std {logits[-1].std():.2f}, max {logits[-1].abs().max():.2f}")
    return {
        "length": length, "ids": prompt, "positions": positions, "logits": [logits[p].tolist() for p in positions],
        "greedy": continuation, "greedy_gap_min": gap, "logits_after_greedy": after.tolist(),
    }


def save_model(name, model, directory):
    config, network_class, settings = make_config(model)
    network = network_class(config).eval()
    fill(name, model, network)
    network = network.to(getattr(torch, model.get("dtype", "float32")))
    shard = model.get("shard")
    if shard:
        network.save_pretrained(directory, max_shard_size=shard)
        assert os.path.exists(os.path.join(directory, "model.safetensors.index.json")), "was not sharded"
    else:
        network.save_pretrained(directory)
    write_json(os.path.join(directory, "generation_config.json"), {
        "bos_token_id": config.bos_token_id, "eos_token_id": [config.eos_token_id], "do_sample": True,
        "temperature": 0.6, "top_p": 0.95})
    write_tokenizer(directory)
    return network_class, settings


def load_model(network_class, directory):
    key = "dtype" if MAJOR >= 5 else "torch_dtype"
    network = network_class.from_pretrained(directory, attn_implementation="eager", **{key: torch.float32}).eval()
    for name, parameter in network.named_parameters():
        assert parameter.dtype == torch.float32, (name, parameter.dtype)
    return network


def make_model(name, model, out):
    directory = os.path.join(out, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    network_class, settings = save_model(name, model, directory)
    network = load_model(network_class, directory)
    golden = {
        "model": name, "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
        "seed": SEED, "parameters": sum(p.numel() for p in network.parameters()), "config": settings,
        "inv_freq": check_inv_freq(name, model, network),
        "prompts": [make_prompt(name, network, length) for length in PROMPT_LENGTHS],
    }
    with open(os.path.join(directory, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(round_floats(golden), file, separators=(",", ":"))
        file.write("\n")
    size = sum(os.path.getsize(os.path.join(directory, f)) for f in os.listdir(directory))
    assert size < DIRECTORY_BYTES_MAX, (name, size)
    return golden["parameters"], size


def round_floats(value):
    """Nine significant digits: exact for float32."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [round_floats(v) for v in value]
    if isinstance(value, dict):
        return {k: round_floats(v) for k, v in value.items()}
    return value


def check_tokenizer(directory):
    """The hand-written tokenizer.json loads and round-trips, where the tokenizers package is there."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        print("  tokenizers is not installed: tokenizer.json was not checked")
        return
    tokenizer = Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
    text = "the answer is in 北京 <think>1+1</think>"
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text, tokenizer.decode(ids, skip_special_tokens=False)
    print(f"  tokenizer: {tokenizer.get_vocab_size()} tokens, {len(ids)} ids for {len(text)} characters")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    out = sys.argv[1]
    torch.manual_seed(SEED)
    torch.set_num_threads(4)
    torch.use_deterministic_algorithms(True)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    total = 0
    for name, model in MODELS.items():
        parameters, size = make_model(name, model, out)
        total += size
        print(f"{name}: {parameters} parameters, {size} bytes")
    check_tokenizer(os.path.join(out, "llama"))
    print(f"total {total} bytes in {len(MODELS)} directories")
    assert total < TOTAL_BYTES_MAX, total
    return 0


if __name__ == "__main__":
    sys.exit(main())
