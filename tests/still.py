"""A law of layers without any push: behind it, a block is alone."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Still:
    """Layers of dimension d and step dt that leave every token where it is."""

    d: int
    dt: float
    noise_scale: None = None

    def layer(self, step):
        return ()

    def coarsen(self, factor):
        return replace(self, dt=self.dt * factor)
