"""From VAE to VQGAN: the same images compressed by each model in turn."""
