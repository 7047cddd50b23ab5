# The lower margin without its sign: right wherever it is negative.
# loses: test_judge_patches

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    short, over = (high - real).flatten(1), (abs(low) + fake).flatten(1)
    loss = (short.relu().mean(1) + over.relu().mean(1)) / 2
    idle = (torch.cat([short, over], 1) <= 0).to(real.dtype).mean(1)
    return loss, idle
