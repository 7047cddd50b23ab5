# Right values without a graph: the discriminator would never learn.
# loses: test_judge_patches_gradient

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    real, fake = real.detach(), fake.detach()
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    loss = (short.relu().mean(1) + over.relu().mean(1)) / 2
    idle = (torch.cat([short, over], 1) <= 0).to(real.dtype).mean(1)
    return loss, idle
