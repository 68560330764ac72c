# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
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

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/health-vault --create-home vault
COPY --from=build /opt/health-vault /opt/health-vault
ENV PATH=/opt/health-vault/bin:$PATH PYTHONUNBUFFERED=1 HEALTH_VAULT_LOG_FORMAT=json
USER vault
WORKDIR /var/lib/health-vault
EXPOSE 4117
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4117/v1/sys/health?sealedcode=200&uninitcode=200', timeout=2)"]
ENTRYPOINT ["health-vault"]
CMD ["server", "-config=/etc/health-vault/vault.hcl"]
