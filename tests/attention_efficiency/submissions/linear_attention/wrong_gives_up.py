# Gives up after ten layers.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full, heard = torch.ones_like(mask).tril(), mask
    for layers in range(1, 11):
        if (heard == full).all():
            return layers
        heard = (mask.double() @ heard.double()) > 0
    return -1
