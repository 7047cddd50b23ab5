# The factor ½ is missing: the loss is twice what was asked for.
# loses: test_judge_patches, test_judge_patches_gradient

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    loss = short.relu().mean(1) + over.relu().mean(1)
    idle = (torch.cat([short, over], 1) <= 0).to(real.dtype).mean(1)
    return loss, idle
