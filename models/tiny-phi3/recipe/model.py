"""The network for training: Phi-3's decoder with the parameter names of Hugging Face's Phi3ForCausalLM.

`fake_int4` is the quantizer of ONNX Runtime's MatMulNBits tool (default algorithm, symmetric, blocks of 32 along the
input dimension); training through it with a straight-through gradient makes the weights survive the int4 export.
"""
import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "vocab_size": 2176, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}
BLOCK = 32


def int4_grid(weight):
    """The values that int4 storage gives back for a weight [rows, inputs]."""
    blocks = weight.reshape(-1, BLOCK)
    at = blocks.abs().argmax(dim=1, keepdim=True)
    scale = blocks.gather(1, at) / -8
    safe = torch.where(scale == 0, torch.ones_like(scale), scale)
    codes = torch.floor(blocks / safe + 8.5).clamp_(0, 15) - 8
    return (codes * scale).reshape(weight.shape)


def fake_int4(weight):
    """int4_grid in the forward pass, identity in the backward pass."""
    return weight + (int4_grid(weight.detach()) - weight.detach())


class Linear(nn.Linear):
    quantize = False  # set for the whole class when quantisation-aware training begins

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x):
        return F.linear(x, fake_int4(self.weight) if Linear.quantize else self.weight)


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.size = c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
        self.qkv_proj = Linear(c["hidden_size"], 3 * c["hidden_size"])
        self.o_proj = Linear(c["hidden_size"], c["hidden_size"])

    def forward(self, x, cos, sin):
        b, s, h = x.shape
        q, k, v = self.qkv_proj(x).view(b, s, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)

        def rotate(t):
            left, right = t.chunk(2, dim=-1)
            return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
        out = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(b, s, h))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_up_proj = Linear(c["hidden_size"], 2 * c["intermediate_size"])
        self.down_proj = Linear(c["intermediate_size"], c["hidden_size"])

    def forward(self, x):
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), MLP(c)
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])


class Phi3(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        c = self.config = dict(config or CONFIG)
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.model.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.lm_head = Linear(c["hidden_size"], c["vocab_size"])
        half = c["hidden_size"] // c["num_attention_heads"] // 2
        angles = torch.outer(torch.arange(c["max_position_embeddings"]).float(),
                             1.0 / c["rope_theta"] ** (torch.arange(half).float() / half))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        depth = (2 * c["num_hidden_layers"]) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
                nn.init.normal_(parameter, std=deep * (0.5 if "embed" in name else parameter.shape[1] ** -0.5))

    def forward(self, ids, wanted):
        """Logits at the flat positions `wanted` of ids [rows, length]; padding stands on the right."""
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = self.model.embed_tokens(ids)
        last = len(self.model.layers) - 1
        for i, layer in enumerate(self.model.layers):
            x = x + layer.self_attn(layer.input_layernorm(x), cos, sin)
            if i == last:
                x = x.flatten(0, 1)[wanted]
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.lm_head(self.model.norm(x))
