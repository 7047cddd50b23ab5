# Numbers of walks in 64 bits, never cut to ones.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full = torch.ones_like(mask).tril()
    walks = mask.long()
    for layers in range(1, len(mask) + 1):
        if ((walks > 0) == full).all():
            return layers
        walks = mask.long() @ walks
    return -1
