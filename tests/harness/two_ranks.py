"""One of two ranks that train a line with gradients in bf16: `two_ranks.py DEVICE FOLDER`.

Writes RANK.json with the losses, the weight, and the hook that sends gradients.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel


def main(kind: str, folder: Path) -> None:
    """Trains three steps."""
    rank = int(os.environ["RANK"])
    several = kind == "cuda" and torch.cuda.device_count() > 1
    device = torch.device("cuda", rank if several else 0) if kind == "cuda" else torch.device("cpu")
    distributed.init_process_group("nccl" if several else "gloo")
    torch.manual_seed(0)
    line = torch.nn.Linear(4, 1).to(device)
    module = DistributedDataParallel(line)
    module.register_comm_hook(None, bf16_compress_hook)
    optimiser = torch.optim.SGD(line.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        inputs = torch.tensor([[1.0, 2.0, 3.0, 4.0]], device=device) * (rank + 1) / 3
        loss = (module(inputs) - 1.0).square().sum()
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad()
        both = loss.detach().clone()
        distributed.all_reduce(both)
        losses.append(float(both))
    data: Any = module._get_ddp_logging_data()  # type: ignore[no-untyped-call]
    found = {
        "hook": str(data.get("comm_hook", "")),
        "losses": losses,
        "weight": line.weight.tolist(),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
