"""How long hypothesis tries: `pytest --hypothesis-profile=long tests/grammar` takes ten minutes."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "long", max_examples=15_000, deadline=None, suppress_health_check=list(HealthCheck)
)
