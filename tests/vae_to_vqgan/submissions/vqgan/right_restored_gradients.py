# By backward(), with every .grad put back as it was.
# keeps: all

# %% solution="balance"
def balance(losses, decoder, delta=1e-6, most=1e4):
    parameters = list(decoder.parameters())
    kept = [p.grad for p in parameters]
    pulls = []
    for loss in losses:
        for p in parameters:
            p.grad = None
        loss.backward(retain_graph=True)
        pulls.append(decoder[-1].weight.grad.square().sum().sqrt().detach())
    for p, grad in zip(parameters, kept):
        p.grad = grad
    pulls = torch.stack(pulls)
    weights = torch.minimum(pulls[0] / (pulls + delta), torch.full_like(pulls, most))
    weights[0] = 1.0
    return weights
