"""Trains the model on generated dialogues, first in fp32, then through the int4 quantizer, and saves the weights.

Everything is seeded; the figures of one machine repeat only on the same kind of machine and the same thread count.
"""
import argparse
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from dialogues import Dialogues
from model import CONFIG, Linear, Phi3
from tokenizer import ChatEncoder

LONGEST = 640
POOL = 1024  # dialogues that are sorted by length together, to keep padding small


def batches(encoder, seed, tokens_per_batch, rng):
    """Endless batches (ids, wanted positions, targets) of about equally long dialogues."""
    source = Dialogues(seed)
    while True:
        pool = []
        while len(pool) < POOL:
            ids, taught = encoder.chat(source())
            if rng.random() < 0.33:
                ids, taught = [1] + ids, [False] + taught
            pool.append((ids[:LONGEST], taught[:LONGEST]))
        pool.sort(key=lambda item: len(item[0]))
        groups, group = [], []
        for item in pool:
            if group and (len(group) + 1) * len(item[0]) > tokens_per_batch:
                groups.append(group)
                group = []
            group.append(item)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group) - 1
            rows = torch.zeros(len(group), width, dtype=torch.long)
            wanted, targets = [], []
            for r, (ids, taught) in enumerate(group):
                rows[r, : len(ids) - 1] = torch.tensor(ids[:-1])
                for i in range(1, len(ids)):
                    if taught[i]:
                        wanted.append(r * width + i - 1)
                        targets.append(ids[i])
            yield rows, torch.tensor(wanted), torch.tensor(targets)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", default="../hf")
    parser.add_argument("--out", default="build/model.safetensors")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--stop", type=int, help="end after this step, in the middle of the planned steps")
    parser.add_argument("--warm-up", type=int, default=150)
    parser.add_argument("--int4-from", type=float, default=0.7, help="share of the steps after which the quantizer joins")
    parser.add_argument("--tokens", type=int, default=3072, help="tokens per batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=20262)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--start", help="weights to begin with")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Phi3(CONFIG).to(args.device)
    if args.start:
        from safetensors.torch import load_file
        model.load_state_dict(load_file(args.start))
    decay = [p for p in model.parameters() if p.dim() == 2]
    other = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.03}, {"params": other, "weight_decay": 0.0}], lr=args.lr,
                                  betas=(0.9, 0.98), eps=1e-9, fused=True)
    feed = batches(ChatEncoder(args.tokenizer), args.seed, args.tokens, random.Random(args.seed + 1))
    began, seen, window = time.time(), 0, []
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)

    def save():
        save_file({k: v.detach().float().cpu().contiguous() for k, v in model.state_dict().items()}, args.out)

    for step in range(args.stop or args.steps):
        Linear.quantize = step >= args.int4_from * args.steps
        done = step / args.steps
        rate = min(1.0, (step + 1) / args.warm_up) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        rows, wanted, targets = (t.to(args.device) for t in next(feed))
        loss = F.cross_entropy(model(rows, wanted), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += rows.numel()
        window.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == args.steps:
            print(f"step {step + 1} loss {sum(window) / len(window):.4f} int4 {Linear.quantize} tokens {seen} "
                  f"seconds {time.time() - began:.0f}", flush=True)
            window = []
        if (step + 1) % 500 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
