# Sets of tokens, a layer at a time.
# keeps: all

# %% solution="layers_needed"
def layers_needed(mask):
    n = len(mask)
    sees = [set(row.nonzero()[:, 0].tolist()) for row in mask]
    heard = [set(one) for one in sees]
    for layers in range(1, n + 1):
        if all(len(heard[i]) == i + 1 for i in range(n)):
            return layers
        heard = [set().union(*(heard[t] for t in sees[i])) for i in range(n)]
    return -1
