# One factor is cut out of the graph, and never learns.
# loses: test_FusedLoRA

# %% solution="FusedLoRA"
class FusedLoRA(nn.Module):
    def __init__(self, base, r, alpha, enabled, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale, self.enabled = alpha / r, enabled
        self.part = base.out_features // len(enabled)
        d_in, like = base.in_features, base.weight
        for name in ("A", "B"):
            setattr(self, name, nn.ParameterList())
        for _ in range(sum(enabled)):
            drawn = torch.empty(r, d_in).uniform_(-(d_in**-0.5), d_in**-0.5)
            self.A.append(nn.Parameter(drawn.to(like)))
            self.B.append(nn.Parameter(like.new_zeros(self.part, r)))
        self.dropout, self.merged = nn.Dropout(dropout), False

    def update(self):
        products = iter([B @ A.detach() for A, B in zip(self.A, self.B)])
        nothing = self.base.weight.new_zeros(self.part, self.base.in_features)
        rows = [next(products) if on else nothing for on in self.enabled]
        return self.scale * torch.cat(rows)

    def forward(self, x):
        if self.merged:
            return self.base(x)
        return self.base(x) + F.linear(self.dropout(x), self.update())

    @torch.no_grad()
    def merge(self):
        if not self.merged:
            self.base.weight += self.update()
        self.merged = True

    @torch.no_grad()
    def unmerge(self):
        if self.merged:
            self.base.weight -= self.update()
        self.merged = False
