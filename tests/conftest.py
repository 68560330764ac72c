"""Settings for every test. A property test prints how to repeat its failure and is never failed for being slow."""

from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
