# An image that trains, and that a Ray cluster on Kubernetes can run as its head and its workers:
#   docker build -t linreg-dist:1 .
# Everything comes from PyPI and Debian, in the versions that constraints.txt pins. PyPI's torch is the build for
# CUDA, several gigabytes; --build-arg PIP_EXTRA_INDEX_URL=… names an index with the build for the CPU alone.
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=""

# bash starts Ray's processes and wget answers KubeRay's probes of them.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY constraints.txt pyproject.toml setup.py README.md LICENSE ./
COPY linreg_dist ./linreg_dist
RUN pip install --no-cache-dir --constraint constraints.txt ".${EXTRAS}" && rm -rf /src/*

# Ray writes into its user's home, and a volume is written to with this user's id.
RUN useradd --create-home --uid 1000 ray
USER 1000
WORKDIR /home/ray
ENV PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0

CMD ["linreg-dist", "--help"]
