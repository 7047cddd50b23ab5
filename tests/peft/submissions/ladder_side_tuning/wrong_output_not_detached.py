# The features are detached for the ladder, but the backbone's output keeps its graph.
# loses: test_lst_forward_gradient

# %% solution="lst_forward"
def lst_forward(backbone, side, x):
    h, features = x, [x.detach()]
    for layer in backbone:
        h = layer(h)
        features.append(h.detach())
    s = features[0] @ side["down"][0].T
    for k, i in enumerate(side["rungs"]):
        mu = torch.sigmoid(side["alpha"][k] / 0.1)
        rung = features[i] @ side["down"][k + 1].T
        s = side["blocks"][k](mu * s + (1 - mu) * rung)
    return h + s @ side["up"].T
