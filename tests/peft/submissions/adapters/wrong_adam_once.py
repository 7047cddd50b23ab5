# Adam with one moment.
# loses: test_step_bytes

# %% solution="step_bytes"
def step_bytes(shapes, trained, optimiser="adam", mixed=True):
    if set(trained) - set(shapes):
        raise ValueError(f"trained names what has no shape: {trained}")
    entries = {name: math.prod(shape) for name, shape in shapes.items()}
    learnt = sum(entries[name] for name in trained)
    if optimiser == "adafactor":
        kept = 0
        for shape in (shapes[name] for name in trained):
            matrix = len(shape) > 1
            kept += (
                math.prod(shape[:-2]) * sum(shape[-2:]) if matrix else math.prod(shape)
            )
    elif optimiser in ("sgd", "momentum", "adam"):
        kept = learnt * (optimiser != "sgd")
    else:
        raise ValueError(f"optimiser must be one of four, got {optimiser!r}")
    size = 2 if mixed else 4
    return {
        "weights": size * sum(entries.values()),
        "gradients": size * learnt,
        "master": 4 * learnt if mixed else 0,
        "state": 4 * kept,
    }
