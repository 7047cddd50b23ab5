# The temperature multiplies.
# loses: test_lst_forward, test_lst_forward_gradient

# %% solution="lst_forward"
def lst_forward(backbone, side, x):
    features = [x.detach()]
    with torch.no_grad():
        for layer in backbone:
            features.append(layer(features[-1]))
    s = features[0] @ side["down"][0].T
    for k, i in enumerate(side["rungs"]):
        mu = torch.sigmoid(side["alpha"][k] * 0.1)
        rung = features[i] @ side["down"][k + 1].T
        s = side["blocks"][k](mu * s + (1 - mu) * rung)
    return features[-1] + s @ side["up"].T
