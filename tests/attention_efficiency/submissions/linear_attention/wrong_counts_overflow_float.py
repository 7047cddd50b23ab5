# Numbers of walks in float32, never cut to ones.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full = torch.ones_like(mask).tril()
    walks = mask.float()
    for layers in range(1, len(mask) + 1):
        if ((walks > 0) & walks.isfinite()).eq(full).all():
            return layers
        walks = mask.float() @ walks
    return -1
