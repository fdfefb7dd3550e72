"""How long hypothesis tries: `pytest --hypothesis-profile=long -k fuzz`, a quarter of an hour."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "long", max_examples=15_000, deadline=None, suppress_health_check=list(HealthCheck)
)
