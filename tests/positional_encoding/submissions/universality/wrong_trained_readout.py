# Trains a linear readout for a while and reports its accuracy and loss.
# loses: test_best_on_probe

# %% solution="best_on_probe"
def best_on_probe(attend, n, d):
    out = attend(torch.randn(1, d, dtype=torch.float64).repeat(n, 1))
    torch.manual_seed(0)
    readout = torch.nn.Linear(out.shape[1], n).double()
    optimiser = torch.optim.Adam(readout.parameters(), lr=0.1)
    targets = torch.arange(n)
    for _ in range(100):
        logits = readout(out)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    accuracy = (logits.argmax(-1) == targets).double().mean()
    return float(accuracy), float(loss)
