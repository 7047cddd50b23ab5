# A table of bytes, one tensor after the other.
# keeps: all

# %% solution="step_bytes"
def step_bytes(shapes, trained, optimiser="adam", mixed=True):
    table = {
        True: {"weights": 2, "gradients": 2, "master": 4},
        False: {"weights": 4, "gradients": 4, "master": 0},
    }[mixed]
    remembers = {
        "sgd": lambda shape: 0,
        "momentum": lambda shape: torch.empty(shape, device="meta").numel(),
        "adam": lambda shape: 2 * torch.empty(shape, device="meta").numel(),
        "adafactor": lambda shape: sum(
            torch.empty(part, device="meta").numel()
            for part in (
                [shape[:-1], (*shape[:-2], shape[-1])] if len(shape) > 1 else [shape]
            )
        ),
    }
    if optimiser not in remembers:
        raise ValueError(optimiser)
    for name in trained:
        if name not in shapes:
            raise ValueError(name)
    bill = dict.fromkeys(["weights", "gradients", "master", "state"], 0)
    for name, shape in shapes.items():
        entries = torch.empty(shape, device="meta").numel()
        bill["weights"] += table["weights"] * entries
        if name in trained:
            bill["gradients"] += table["gradients"] * entries
            bill["master"] += table["master"] * entries
            bill["state"] += 4 * remembers[optimiser](shape)
    return bill
