# Shortest ways, as in Floyd and Warshall.
# keeps: all

# %% solution="layers_needed"
def layers_needed(mask):
    n = len(mask)
    way = torch.where(mask, 1.0, float("inf"))
    way.fill_diagonal_(0.0)
    for t in range(n):
        way = torch.minimum(way, way[:, t, None] + way[None, t])
    longest = way[torch.ones_like(mask).tril()].max().item()
    return max(1, int(longest)) if longest < float("inf") else -1
