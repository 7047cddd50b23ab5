# Lets PyTorch do it and looks.
# keeps: all

# %% solution="predict_write"
def predict_write(shape, stride, index):
    last = sum((n - 1) * s for n, s in zip(shape, stride))
    t = torch.zeros(last + 1).as_strided(shape, stride)
    try:
        t[tuple(slice(None) if i == ":" else i for i in index)].add_(1)
    except RuntimeError:
        return "raises"
    return t.bool()
