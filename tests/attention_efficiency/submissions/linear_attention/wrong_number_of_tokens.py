# Returns n when no number is enough.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full, heard, layers = torch.ones_like(mask).tril(), mask, 1
    while not (heard == full).all() and layers < len(mask):
        heard = (mask.double() @ heard.double()) > 0
        layers += 1
    return layers
