# Data and noise exchanged: abar as the share of the noise.
# loses: test_convert_prediction

# %% solution="convert_prediction"
def convert_prediction(x, out, abar, source, target):
    for kind in (source, target):
        if kind not in ("eps", "x0", "v", "score"):
            raise ValueError(f"kind must be eps, x0, v or score, got {kind!r}")
    scale, data = math.sqrt(abar), math.sqrt(1 - abar)
    if source == "v":
        x0, eps = data * x - scale * out, scale * x + data * out
    elif source == "x0":
        x0, eps = out, (x - data * out) / scale
    else:
        eps = out if source == "eps" else -scale * out
        x0 = (x - scale * eps) / data
    if target == "score":
        return -eps / scale
    return {"x0": x0, "eps": eps, "v": data * eps - scale * x0}[target]
