# Plain estimator on the 2n draws and their opposites, less the mean value.
# keeps: all

# %% solution="antithetic"
def antithetic(f, x, sigma, noise):
    both = torch.cat((noise, -noise))
    values = f(x + sigma * both)
    mean = values.mean()
    return mean, (values - mean) @ both / (len(both) * sigma)
