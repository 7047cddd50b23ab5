# Right values, written into the noise: the caller's z is gone, and so is the gradient.
# loses: test_flow_in_order, test_flow_in_order_gradient

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    log_prob = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    with torch.no_grad():
        for i in range(z.shape[1]):
            stretch = z[:, :i] @ A[i, :i]
            z[:, i] = z[:, i] * stretch.exp() + z[:, :i] @ M[i, :i]
            log_prob -= stretch
    return z, log_prob
