"""What holds for all tests.

How long hypothesis tries: `pytest --hypothesis-profile=long -k fuzz`, a quarter of an hour.
"""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
settings.register_profile(
    "long", max_examples=15_000, deadline=None, suppress_health_check=list(HealthCheck)
)

# Whoever starts the tests in the background (nohup, a shell's `&`) has these ignored, and what is
# started by tests would ignore them in turn, as it should: then nothing could be interrupted.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)
