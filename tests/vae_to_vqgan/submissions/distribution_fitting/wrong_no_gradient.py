# Right values from detached arguments: nothing could be fitted.
# loses: test_flow_in_order_gradient

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    z, M, A = z.detach(), M.detach(), A.detach()
    x = torch.zeros_like(z)
    log_prob = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    for i in range(z.shape[1]):
        stretch = x[:, :i] @ A[i, :i]
        x[:, i] = z[:, i] * stretch.exp() + x[:, :i] @ M[i, :i]
        log_prob = log_prob - stretch
    return x, log_prob
