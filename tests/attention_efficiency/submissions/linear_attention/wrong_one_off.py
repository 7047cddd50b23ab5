# Counts products instead of layers.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    n, sees = len(mask), mask.double()
    heard, layers = mask, 0
    while heard.sum() < n * (n + 1) // 2:
        wider = (sees @ heard.double()) > 0
        if wider.sum() == heard.sum():
            return -1
        heard, layers = wider, layers + 1
    return layers
