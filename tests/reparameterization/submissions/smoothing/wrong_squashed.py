# A scaled normal distribution function: right ends, wrong slope between.
# loses: test_mollified_clip

# %% solution="mollified_clip"
def mollified_clip(x, low, high, sigma):
    middle, width = (low + high) / 2, high - low
    return low + width * torch.special.ndtr((x - middle) / (sigma + width / 2))
