# Doubles the layers at every step.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    n = len(mask)
    heard, layers = mask, 1
    while heard.sum() < n * (n + 1) // 2:
        wider = (heard.double() @ heard.double()) > 0
        if wider.sum() == heard.sum():
            return -1
        heard, layers = wider, 2 * layers
    return layers
