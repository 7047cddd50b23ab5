# By the angle between signal and noise.
# keeps: all

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    angle = torch.atan2(b, a * sigma_data)
    size = torch.hypot(a * sigma_data, b)
    c_skip = sigma_data * angle.cos() / size
    return c_skip, sigma_data * angle.sin(), 1 / size, (b.log() - a.log()) / 4
