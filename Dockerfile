# One image for the API and the worker. Build with the CPU build of torch where no GPU is used:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=<index of PyTorch's CPU builds> -t plumbline .
FROM python:3.11-slim AS build

ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_EXTRA_INDEX_URL=$PIP_EXTRA_INDEX_URL \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/plumbline
WORKDIR /src
# The dependencies first: this layer is built again only when they change.
COPY pyproject.toml constraints.txt ./
RUN mkdir ingestion service && touch ingestion/__init__.py service/__init__.py README.md \
    && /opt/plumbline/bin/pip install -c constraints.txt . \
    && /opt/plumbline/bin/pip uninstall -y plumbline
COPY README.md ./
COPY ingestion ingestion
COPY service service
RUN /opt/plumbline/bin/pip install --no-deps .


FROM python:3.11-slim

# libmagic: unstructured recognises file types with it. git, and ssh for it: sources of kind `git`.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libmagic1 openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/plumbline plumbline

COPY --from=build /opt/plumbline /opt/plumbline

ENV PATH=/opt/plumbline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PLUMBLINE_DATA_DIR=/var/lib/plumbline/data \
    PLUMBLINE_LOG_FORMAT=json \
    PLUMBLINE_SERVER__HOST=0.0.0.0 \
    PLUMBLINE_SERVER__PORT=8000

USER plumbline
WORKDIR /var/lib/plumbline
RUN mkdir data
VOLUME /var/lib/plumbline/data
EXPOSE 8000

# Loading the model takes some seconds; until then the container counts as starting.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]

CMD ["plumbline", "serve"]
