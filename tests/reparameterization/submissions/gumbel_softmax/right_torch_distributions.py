# The density of log y from torch, and the factor that it lacks.
# keeps: all

# %% solution="relaxed_log_density"
def relaxed_log_density(log_y, logits, tau):
    law = torch.distributions.RelaxedOneHotCategorical(
        torch.tensor(tau, dtype=log_y.dtype), logits=logits, validate_args=False
    )
    return law.base_dist.log_prob(log_y) - log_y.sum(-1)
