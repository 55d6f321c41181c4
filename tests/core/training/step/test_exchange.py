"""Ranks that compute in bf16 send their gradients in bf16, and learn the same from them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate.utils import DDPCommunicationHookType

from jobrunner.core.training import ranks
from jobrunner.core.training.step.exchange import ddp_options

PROGRAM = """
import json, os, sys, torch
from jobrunner.core.training import agreement
from jobrunner.core.training.setup import make_accelerator
from jobrunner.spec.placement import ResourcesSpec

given = ResourcesSpec(device="cpu", gpus=0, precision=sys.argv[1])
accelerator = make_accelerator(given)
rank = accelerator.process_index
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
module = accelerator.prepare(model)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for step in range(3):
    inputs = torch.tensor([[1.0, 2.0, 3.0, 4.0]]) * (rank + 1) / 3
    loss = (module(inputs) - 1.0).square().sum()
    accelerator.backward(loss)
    gradient = model.weight.grad.tolist()
    optimiser.step()
    optimiser.zero_grad()
    losses.append(float(accelerator.reduce(loss.detach())))
out = {"hook": module._get_ddp_logging_data().get("comm_hook", ""), "losses": losses}
out |= {"gradient": gradient, "weight": model.weight.tolist()}
with open(os.path.join(sys.argv[2], f"{rank}.json"), "w") as file:
    json.dump(out, file)
agreement.end()
os._exit(0)
"""


def test_two_ranks_in_bf16_send_their_gradients_in_bf16(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert ranks.run(2, [sys.executable, str(program), "bf16", str(tmp_path)]) == 0
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert "bf16_compress_hook" in first["hook"]
    assert first["weight"] == second["weight"]
    assert first["losses"] == sorted(first["losses"], reverse=True)
    sent = torch.tensor(first["gradient"])
    assert torch.equal(sent, sent.bfloat16().float())


def test_ranks_in_fp32_send_them_as_they_are() -> None:
    assert ddp_options(torch.float32).comm_hook == DDPCommunicationHookType.NO
    assert ddp_options(torch.bfloat16).comm_hook == DDPCommunicationHookType.BF16
