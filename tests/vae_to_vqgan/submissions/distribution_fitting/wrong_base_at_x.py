# The normal density of x, where that of z belongs.
# loses: test_flow_in_order, test_flow_in_order_gradient

# %% solution="flow_in_order"
def flow_in_order(z, M, A):
    x = z[:, :0]
    volume = torch.zeros_like(z[:, 0])
    for i in range(z.shape[1]):
        stretch = x @ A[i, :i]
        column = z[:, i] * stretch.exp() + x @ M[i, :i]
        x = torch.cat([x, column[:, None]], 1)
        volume = volume + stretch
    return x, -0.5 * (x.square() + math.log(2 * math.pi)).sum(1) - volume
