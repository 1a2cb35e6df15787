"""One image through PyTorch, or one training step: python peer.py FOLDER f32|bf16|int8|step.

The weights are taken as they lie in the mapped file (assign), which is the least that PyTorch needs.
"""

import json
import sys

import safetensors.torch
import timm
import torch

folder, mode = sys.argv[1:]
torch.set_num_threads(2)
with open(folder + "/config.json") as f:
    config = json.load(f)
with torch.device("meta"):
    net = timm.create_model(config["architecture"], num_classes=config["num_classes"], **config["model_args"])
net.load_state_dict(safetensors.torch.load_file(folder + "/model.safetensors"), assign=True)
net.eval()
x = torch.rand(1, 3, 224, 224)
if mode == "step":  # LoRA of rank 8 on q, k and v, as peft has them in timm's network, and the head; the base in bfloat16
    import peft

    net = peft.get_peft_model(net.to(torch.bfloat16), peft.LoraConfig(r=8, lora_alpha=8, target_modules=["qkv"], modules_to_save=["head"]))
    net.train()
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    y = net(torch.rand(2, 3, 224, 224).to(torch.bfloat16))
    torch.nn.functional.cross_entropy(y.float(), torch.tensor([0, 1])).backward()
    optimizer.step()
    sys.exit()
if mode == "bf16":
    net, x = net.to(torch.bfloat16), x.to(torch.bfloat16)
if mode == "int8":
    net = torch.ao.quantization.quantize_dynamic(net, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
with torch.inference_mode():
    print(net(x).float().tolist())
