# One row after the other, with plain numbers.
# keeps: all

# %% solution="to_denoiser"
def to_denoiser(kind, x_t, out, level):
    rows = []
    for x, o, at in zip(x_t, out, level.expand(len(x_t)).tolist()):
        if kind == "score":
            rows.append(torch.add(x, o, alpha=at * at))
        elif kind == "eps":
            rows.append((x - math.sqrt(1 - at) * o) / math.sqrt(at))
        elif kind == "v":
            rows.append(math.sqrt(at) * x - math.sqrt(1 - at) * o)
        else:
            rows.append(x - (at if kind == "flow" else at - 1) * o)
    return torch.stack(rows)
