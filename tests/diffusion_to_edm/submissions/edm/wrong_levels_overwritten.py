# Right, and squares b in place on the way.
# loses: test_precondition_pair

# %% solution="precondition_pair"
def precondition_pair(a, b, sigma_data):
    c_noise = (b / a).log() / 4
    noise = b.clone()
    b *= b
    variance = (a * sigma_data) ** 2 + b
    return (
        a * sigma_data**2 / variance,
        noise * sigma_data / variance.sqrt(),
        (variance.rsqrt()),
        c_noise,
    )
