# Looks at who has heard of the first token.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    heard = mask
    for layers in range(1, len(mask) + 1):
        if heard[:, 0].all():
            return layers
        heard = (mask.double() @ heard.double()) > 0
    return -1
