# One mean over all images: every image gets the number of the batch.
# loses: test_judge_patches, test_judge_patches_gradient

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    short, over = (high - real).relu(), (fake - low).relu()
    loss = (short.mean() + over.mean()) / 2
    idle = torch.cat([short.flatten(1), over.flatten(1)], 1) == 0
    return loss.expand(len(real)), idle.to(real.dtype).mean(1)
