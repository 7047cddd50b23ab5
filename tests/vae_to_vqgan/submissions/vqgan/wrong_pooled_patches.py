# Real and fake patches in one mean: the larger grid counts for more.
# loses: test_judge_patches, test_judge_patches_gradient

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    both = torch.cat([short, over], 1)
    return both.relu().mean(1), (both <= 0).to(real.dtype).mean(1)
