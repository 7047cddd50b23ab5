# Waits until early tokens have heard of later ones.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    heard = mask
    for layers in range(1, len(mask) + 1):
        if heard.all():
            return layers
        heard = (mask.double() @ heard.double()) > 0
    return -1
