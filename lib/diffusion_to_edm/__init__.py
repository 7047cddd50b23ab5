"""From diffusion to EDM: one denoiser under many parametrisations."""
