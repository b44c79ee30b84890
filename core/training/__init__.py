"""Fine-tuning: what is frozen runs once per photo and is kept, only the rest runs each epoch."""
