# Eckart and Young for the weights: the inputs are not looked at.
# loses: test_extract_for_inputs

# %% solution="extract_for_inputs"
def extract_for_inputs(dW, x, r):
    U, S, Vh = torch.linalg.svd(dW)
    return U[:, :r] * S[:r], Vh[:r]
