# syntax=docker/dockerfile:1
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN python -m venv /opt/health-vault
ENV PATH=/opt/health-vault/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN pip install --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/builder && /opt/builder/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY src src
RUN /opt/builder/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . && pip install --no-deps --no-index dist/*.whl

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/health-vault --create-home vault
COPY --from=build /opt/health-vault /opt/health-vault
# VAULT_ADDR is for the health check and for `docker exec`; set it to https:// where the listener has TLS.
ENV PATH=/opt/health-vault/bin:$PATH PYTHONUNBUFFERED=1 HEALTH_VAULT_LOG_FORMAT=json VAULT_ADDR=http://127.0.0.1:4117
USER vault
WORKDIR /var/lib/health-vault
EXPOSE 4117
STOPSIGNAL SIGTERM
# Is it there and does it answer? A sealed server is healthy: what it needs is an operator, not a new container. The certificate is
# not verified, because it is issued for another name than that of the loopback.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "\
import os, ssl, urllib.request as request; \
url = os.environ['VAULT_ADDR'] + '/v1/sys/health?sealedcode=200&uninitcode=200'; \
request.urlopen(url, timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["health-vault"]
CMD ["server", "-config=/etc/health-vault/vault.hcl"]
