# The log-determinant added, where it is subtracted.
# loses: test_flow_in_order, test_flow_in_order_gradient

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    x = z[:, :0]
    log_prob = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    for i in range(z.shape[1]):
        stretch = x @ A[i, :i]
        column = z[:, i] * stretch.exp() + x @ M[i, :i]
        x = torch.cat([x, column[:, None]], 1)
        log_prob = log_prob + stretch
    return x, log_prob
