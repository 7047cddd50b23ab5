# c_out from the variance of what the regression leaves over.
# keeps: all

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    c_in = ((a * sigma_data) ** 2 + b**2) ** -0.5
    c_skip = a * (sigma_data * c_in) ** 2
    c_out = (((1 - a * c_skip) * sigma_data) ** 2 + (c_skip * b) ** 2) ** 0.5
    return c_skip, c_out, c_in, 0.25 * torch.log(b / a)
