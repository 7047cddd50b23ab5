# The diagonal counts too: a coordinate stretches itself.
# loses: test_flow_in_order, test_flow_in_order_gradient

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    x = z.clone()
    log_prob = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    columns = []
    for i in range(z.shape[1]):
        before = torch.stack([*columns, z[:, i]], 1)
        stretch = before @ A[i, : i + 1]
        columns.append(z[:, i] * stretch.exp() + before @ M[i, : i + 1])
        log_prob = log_prob - stretch
    x = torch.stack(columns, 1)
    return x, log_prob
