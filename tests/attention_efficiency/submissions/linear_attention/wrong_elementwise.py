# Multiplies entry by entry.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full = torch.ones_like(mask).tril()
    heard = mask
    for layers in range(1, len(mask) + 1):
        if (heard == full).all():
            return layers
        heard = mask & heard
    return -1
