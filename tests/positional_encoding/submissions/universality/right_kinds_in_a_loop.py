# Sorts the places into kinds one after the other, three tokens tried.
# keeps: all

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    best = 0.0, math.inf
    for seed in range(3):
        draw = torch.Generator().manual_seed(seed)
        token = torch.randn(d, dtype=torch.float64, generator=draw)
        out = attend(token.expand(n, d).contiguous())
        small = 1e-9 * out.abs().max()
        kinds = []
        for row in out:
            for kind in kinds:
                if (kind[0] - row).abs().max() <= small:
                    kind.append(row)
                    break
            else:
                kinds.append([row])
        loss = sum(len(kind) * math.log(len(kind)) for kind in kinds) / n
        best = max(best[0], len(kinds) / n), min(best[1], loss)
    return best
