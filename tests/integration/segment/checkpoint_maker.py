"""Writes checkpoints with the bundled one's dense weights and as many random experts as wanted."""

import json
import pathlib
import random
import shutil
import struct

HIDDEN = 128  # the bundled checkpoint's
BLOCK_BYTES = 4 << 20
# The high byte of a bfloat16: any sign, an exponent that makes it about 0.01.
HIGH_BYTE = bytes((b & 0x80) | 0x3C for b in range(256))


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"],
                   data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
            for name, entry in header.items()}


class Weights:
    """Endless random bfloat16, cheap: windows into one block."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        block = bytearray(self.random.randbytes(BLOCK_BYTES))
        block[1::2] = block[1::2].translate(HIGH_BYTE)
        self.block = bytes(block) * 2

    def take(self, num_values):
        out = bytearray()
        while len(out) < 2 * num_values:
            start = 2 * self.random.randrange(BLOCK_BYTES // 2)
            out += self.block[start:start + min(BLOCK_BYTES, 2 * num_values - len(out))]
        return bytes(out)


def tensors_of(base, layers, experts, channels, seed):
    """(name, dtype, shape, bytes) one by one."""
    weights = Weights(seed)
    for name, (dtype, shape, data) in base.items():
        if ".layers." not in name:
            yield name, dtype, shape, data
    for layer in range(layers):
        source = f"model.layers.{layer % 4}."
        prefix = f"model.layers.{layer}."
        for name, (dtype, shape, data) in base.items():
            if name.startswith(source) and ".mlp." not in name:
                yield prefix + name[len(source):], dtype, shape, data
        shape = [experts, HIDDEN]
        yield prefix + "mlp.gate.weight", "BF16", shape, weights.take(experts * HIDDEN)
        for expert in range(experts):
            for projection, shape in (("gate_proj", [channels, HIDDEN]),
                                      ("up_proj", [channels, HIDDEN]),
                                      ("down_proj", [HIDDEN, channels])):
                yield (f"{prefix}mlp.experts.{expert}.{projection}.weight", "BF16", shape,
                       weights.take(channels * HIDDEN))


def write_checkpoint(source, folder, layers, experts, channels, seed=1):
    """INT4, an expert's cache record takes a little over 1.5 x 128 x channels bytes."""
    source, folder = pathlib.Path(source), pathlib.Path(folder)
    folder.mkdir()
    config = json.loads((source / "config.json").read_text("utf-8"))
    config.update(num_hidden_layers=layers, num_local_experts=experts,
                  moe_intermediate_size=channels)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / name)
    header, offset = {}, 0
    base = read_safetensors(source / "model.safetensors")
    with open(folder / "data", "wb") as data:
        for name, dtype, shape, content in tensors_of(base, layers, experts, channels, seed):
            header[name] = {"dtype": dtype, "shape": shape,
                            "data_offsets": [offset, offset + len(content)]}
            offset += data.write(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out, open(folder / "data", "rb") as data:
        out.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(data, out, 1 << 20)
    (folder / "data").unlink()
