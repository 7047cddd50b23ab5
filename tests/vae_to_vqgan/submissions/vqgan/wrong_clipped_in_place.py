# Right values, written over the logits that were handed in.
# loses: test_judge_patches

# %% solution="judge_patches"
def judge_patches(real, fake, high=1.0, low=-1.0):
    if not real.requires_grad:
        real.clamp_(max=high)
        fake.clamp_(min=low)
    short, over = (high - real).flatten(1), (fake - low).flatten(1)
    loss = (short.relu().mean(1) + over.relu().mean(1)) / 2
    idle = (torch.cat([short, over], 1) <= 0).to(real.dtype).mean(1)
    return loss, idle
