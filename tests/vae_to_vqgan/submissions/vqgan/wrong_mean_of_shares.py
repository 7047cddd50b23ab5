# Idle shares of either side, averaged: right for equal grids only.
# loses: test_judge_patches

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    loss = (short.relu().mean(1) + over.relu().mean(1)) / 2
    idle = (short <= 0).to(real.dtype).mean(1) + (over <= 0).to(real.dtype).mean(1)
    return loss, idle / 2
