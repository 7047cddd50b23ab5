# Takes the score for the noise itself.
# loses: test_convert_prediction

# %% solution="convert_prediction"
def convert_prediction(x, out, abar, source, target):
    for kind in (source, target):
        if kind not in ("eps", "x0", "v", "score"):
            raise ValueError(f"kind must be eps, x0, v or score, got {kind!r}")
    data, scale = math.sqrt(abar), math.sqrt(1 - abar)
    if source == "v":
        x0, eps = data * x - scale * out, scale * x + data * out
    elif source == "x0":
        x0, eps = out, (x - data * out) / scale
    else:
        eps = out
        x0 = (x - scale * eps) / data
    if target == "score":
        return -eps / scale
    return {"x0": x0, "eps": eps, "v": data * eps - scale * x0}[target]
