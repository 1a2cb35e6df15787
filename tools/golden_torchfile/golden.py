"""Writes torchfile/testdata: files of torch.save in every form, each beside its tensors as safetensors.

    python tools/golden_torchfile/golden.py torchfile/testdata
"""

import argparse
import collections
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
g = torch.Generator().manual_seed(1)
r = lambda *s: torch.randn(*s, generator=g)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = torch.nn.Linear(3, 2)
        self.blocks = torch.nn.ModuleList([torch.nn.LayerNorm(2)])
        self.token = torch.nn.Parameter(r(1, 2))

    def forward(self, x):
        for b in self.blocks:
            x = b(self.proj(x) + self.token)
        return x


def tensors():
    whole = r(4, 6)
    return collections.OrderedDict(
        f32=r(2, 3), f16=r(5).half(), bf16=r(3, 2).bfloat16(), f64=r(2).double(), i64=torch.arange(4), u8=torch.arange(3).byte(),
        flag=torch.tensor([True, False]), scalar=torch.tensor(2.5), empty=torch.zeros(0, 3), rows=whole[1:3], columns=whole[:, 2:5], turned=whole.t(),
        parameter=torch.nn.Parameter(r(2, 2)), u16=torch.arange(3).to(torch.uint16), one=whole[2:3, 1:2],
    )


def write(name, value, expect, **kw):
    torch.save(value, OUT / f"{name}.pth", **kw)
    save_file({k: v.detach().clone().contiguous() for k, v in expect.items()}, OUT / f"{name}.safetensors")


def adam(net):
    o = torch.optim.AdamW(net.parameters())
    net(r(1, 3)).sum().backward()
    o.step()
    return o.state_dict()


t = tensors()
write("plain", t, t)
old = {k: v for k, v in t.items() if k != "u16"}
write("legacy", old, old, _use_new_zipfile_serialization=False)
write("protocol4", t, t, pickle_protocol=4)
net = Net()
s = net.state_dict()
write("trainer", {"model": s, "optimizer": adam(net), "epoch": 3, "args": argparse.Namespace(lr=1e-3, out=pathlib.Path("x"), dims=[1, 2]),
                  "best": np.float64(0.5), "rng": np.arange(3)}, s)
write("legacy_trainer", {"state_dict": {"module." + k: v for k, v in s.items()}, "epoch": 3}, {"module." + k: v for k, v in s.items()},
      _use_new_zipfile_serialization=False)
write("dino", {"student": {"backbone.x": r(2)}, "teacher": {"backbone.x": s["token"]}, "dino_loss": {"center": r(1, 2)}}, {"backbone.x": s["token"]})
write("parameters", {k: v for k, v in net.named_parameters()}, dict(net.named_parameters()))
torch.jit.save(torch.jit.script(net), str(OUT / "script.pth"))
save_file({k: v.contiguous() for k, v in s.items()}, OUT / "script.safetensors")
torch.save(net, OUT / "whole.pth")  # needs its class, so it is refused
(OUT / "versions.json").write_text(json.dumps({"torch": torch.__version__}) + "\n")
