# Adds to the mask it was given.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full, sees = torch.ones_like(mask).tril(), mask.double()
    for layers in range(1, len(mask) + 1):
        if (mask == full).all():
            return layers
        mask |= (sees @ mask.double()) > 0
    return -1
