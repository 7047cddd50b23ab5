# Numbers of walks in bytes, where 256 is nothing.
# loses: test_layers_needed

# %% solution="layers_needed"
def layers_needed(mask):
    full = torch.ones_like(mask).tril()
    walks = mask.to(torch.uint8)
    for layers in range(1, len(mask) + 1):
        if ((walks > 0) == full).all():
            return layers
        walks = mask.to(torch.uint8) @ walks
    return -1
