# One tensor for all A and one for all B, transposed; A starts at zero.
# keeps: all

# %% solution="FusedLoRA"
class FusedLoRA(nn.Module):
    def __init__(self, base, r, alpha, enabled, dropout=0.0):
        super().__init__()
        base.weight.requires_grad_(False)
        if base.bias is not None:
            base.bias.requires_grad_(False)
        self.base, self.p, self.alpha, self.r = base, dropout, alpha, r
        self.on = [i for i, each in enumerate(enabled) if each]
        self.parts, like = len(enabled), base.weight
        count, part = len(self.on), base.out_features // len(enabled)
        self.down = nn.Parameter(like.new_zeros(base.in_features, count, r))
        self.up = nn.Parameter(torch.randn(count, r, part).to(like) / r)
        self.inside = 0

    def delta(self):
        each = torch.einsum("dkr,kro->kod", self.down, self.up) * self.alpha / self.r
        whole = self.base.weight.new_zeros(self.parts, *each.shape[1:])
        return whole.index_add(0, torch.tensor(self.on), each).flatten(0, 1)

    def forward(self, x):
        y = F.linear(x, self.base.weight, self.base.bias)
        if self.inside:
            return y
        dropped = F.dropout(x, self.p, self.training)
        return y + dropped @ self.delta().T

    def merge(self):
        self.base.weight.data.add_(self.delta().detach(), alpha=1 - self.inside)
        self.inside = 1

    def unmerge(self):
        self.base.weight.data.sub_(self.delta().detach(), alpha=self.inside)
        self.inside = 0
