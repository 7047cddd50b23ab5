"""Samplers beside the schedulers of diffusers: the same walks from the same noise.

    python -m benchmarks.diffusion_to_edm

The network answers at once, so that what is measured is what a sampler adds to each
step. Times include setting the steps. One thread, float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.side_by_side import Row, compared, report
from lib.diffusion_to_edm import ddpm_ddim, edm

SHAPE, STEPS, T = (16, 3, 32, 32), 50, 1000
Sampler = Callable[[Tensor], Tensor]


def network(x: Tensor, level: Tensor) -> Tensor:
    """Something that depends on x, and no more."""
    return 0.5 * x


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def diffusers_loop(scheduler, **options) -> Sampler:
    """The loop of diffusers' pipelines. Options may be functions: of a generator, which
    must begin anew with each walk."""

    def sample(x: Tensor) -> Tensor:
        scheduler.set_timesteps(STEPS)
        given = {name: make() for name, make in options.items()}
        for t in scheduler.timesteps:
            out = network(scheduler.scale_model_input(x, t), t)
            x = scheduler.step(out, t, x, **given).prev_sample
        return x

    return sample


def walk(eta: float) -> Sampler:
    """Ours, along the chain of DDPM."""
    abar = ddpm_ddim.alpha_bar(ddpm_ddim.beta_schedule("linear", T))

    def sample(x: Tensor) -> Tensor:
        times = ddpm_ddim.spaced_timesteps(T, STEPS, "leading")
        return ddpm_ddim.ddim_sample(network, x, abar, times, eta, seeded())

    return sample


def ode(D, ends: tuple[float, float], solver: str) -> Sampler:
    """Ours, along the probability-flow ODE, on the levels of Karras et al."""

    def sample(x: Tensor) -> Tensor:
        levels = edm.karras_sigmas(STEPS, *ends, 7.0)
        return edm.sample_ode(D, x, levels, solver)

    return sample


def rows() -> list[Row]:
    """A row for each sampler that both have."""
    import diffusers

    euler = diffusers.EDMEulerScheduler()
    heun = diffusers.HeunDiscreteScheduler(use_karras_sigmas=True)
    heun.set_timesteps(STEPS)
    heun_ends = float(heun.sigmas[-2]), float(heun.sigmas[0])
    ddim = diffusers.DDIMScheduler(clip_sample=False)
    ddpm = diffusers.DDPMScheduler(clip_sample=False)
    pairs = {
        "DDIM": (1.0, walk(0.0), diffusers_loop(ddim)),
        "DDPM": (1.0, walk(1.0), diffusers_loop(ddpm, generator=seeded)),
        "EDM, Euler": (
            80.0,
            ode(edm.EDMPrecond(network, 0.5), (0.002, 80.0), "euler"),
            diffusers_loop(euler),
        ),
        "EDM, Heun": (
            heun_ends[1],
            ode(edm.from_eps(network), heun_ends, "heun"),
            diffusers_loop(heun),
        ),
    }
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    return [
        compared(
            f"a step of {name}",
            f"diffusers’ {name.split(', ')[-1]}",
            lambda ours=ours, x=scale * noise: ours(x),
            lambda peer=peer, x=scale * noise: peer(x),
            steps=STEPS,
        )
        for name, (scale, ours, peer) in pairs.items()
    ]


if __name__ == "__main__":
    report("diffusion_to_edm", rows, needs=("diffusers",))
