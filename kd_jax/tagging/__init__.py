"""From a trained or shipped model and text to entities; nothing here imports flax, optax or orbax but `trained`."""
