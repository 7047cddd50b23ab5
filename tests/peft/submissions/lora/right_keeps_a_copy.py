# Remembers the weight that it merged into, and runs the factors one by one.
# keeps: all

# %% solution="FusedLoRA"
class FusedLoRA(nn.Module):
    def __init__(self, base, r, alpha, enabled, dropout=0.0):
        super().__init__()
        self.base = base
        for p in base.parameters():
            p.requires_grad = False
        d_out, d_in = base.weight.shape
        self.enabled, self.s, self.drop = list(enabled), alpha / r, dropout
        self.size, self.kept = d_out // len(enabled), None
        for i, on in enumerate(enabled):
            if on:
                A = torch.randn(r, d_in, dtype=base.weight.dtype) / d_in
                B = torch.zeros(self.size, r, dtype=base.weight.dtype)
                self.register_parameter(f"A{i}", nn.Parameter(A))
                self.register_parameter(f"B{i}", nn.Parameter(B))

    def forward(self, x):
        y = self.base(x)
        if self.kept is not None:
            return y
        x = F.dropout(x, self.drop, self.training)
        parts = list(y.split(self.size, -1))
        for i, on in enumerate(self.enabled):
            if on:
                A, B = getattr(self, f"A{i}"), getattr(self, f"B{i}")
                parts[i] = parts[i] + self.s * (x @ A.T) @ B.T
        return torch.cat(parts, -1)

    def merge(self):
        if self.kept is None:
            self.kept = self.base.weight.detach().clone()
            for i, on in enumerate(self.enabled):
                if on:
                    A, B = getattr(self, f"A{i}"), getattr(self, f"B{i}")
                    rows = slice(i * self.size, (i + 1) * self.size)
                    self.base.weight.data[rows] += self.s * (B @ A).detach()

    def unmerge(self):
        if self.kept is not None:
            self.base.weight.data.copy_(self.kept)
            self.kept = None
