"""Parameter-efficient fine-tuning: what is trained, what is saved, and where."""
