# One image, two commands: `docker run IMAGE train` and `docker run -p 8080:8080 IMAGE serve`, as SageMaker starts them.
#
#   docker/build.sh [NAME:TAG]       builds it; needs BuildKit
#
# Build arguments (docker/build.sh takes them from the environment):
#   BASE_IMAGE   Debian 12 with Python 3.11 as python3; a digest (NAME@sha256:...) pins it for good.
#                Without a registry: docker/offline-base.sh makes one.
#   TORCH        cuda (default): PyPI's build of torch, for GPUs and CPUs. cpu: the CPU build, a fifth of the size.
#   PRETRAINED   ImageNet weights to bake in, so that jobs without a network can fine-tune: architectures by name,
#                as in "resnet18 resnet50" (default resnet18); none; or file: what lies in docker/pretrained/, each
#                file under torchvision's name (resnet18-f37072fd.pth, checked against the hash in it) or as
#                resnet18.pth (weights of your own, which `pretrained=imagenet` then means).
#   VERSION, REVISION   for the labels.
#
# Offline: when docker/wheels/ holds wheels (docker/wheels.sh fetches them), packages come from there alone.
#
# Why no nvidia/cuda base: PyPI's torch brings its own CUDA 13.0, cuDNN and NCCL as wheels and would not use the base's,
# which would add gigabytes. The driver is the host's; NVIDIA's container runtime mounts it by the variables below.
#
# No HEALTHCHECK: SageMaker ignores it, and `train` answers no /ping. docker/compose.yaml has one for `serve`.

ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG TORCH=cuda

FROM ${BASE_IMAGE} AS base

# --- Packages: /opt/venv, split into trees that become one layer each -----------------------------------------------
FROM base AS builder
ARG TORCH
RUN --mount=type=bind,source=docker/install.sh,target=/build/install.sh \
    --mount=type=bind,source=docker/wheels,target=/build/wheels \
    --mount=type=bind,source=requirements/torch.txt,target=/build/requirements/torch.txt \
    --mount=type=bind,source=requirements/torch-cuda.txt,target=/build/requirements/torch-cuda.txt \
    --mount=type=bind,source=requirements/image.txt,target=/build/requirements/image.txt \
    sh /build/install.sh "${TORCH}"

# --- ImageNet weights ----------------------------------------------------------------------------------------------
# Only the modules that know torchvision's file names are mounted: other changes to model/ fetch nothing anew.
FROM builder AS pretrained
ARG PRETRAINED=resnet18
RUN --mount=type=bind,source=docker/bake_pretrained.py,target=/build/bake_pretrained.py \
    --mount=type=bind,source=docker/pretrained,target=/build/files \
    --mount=type=bind,source=contract/__init__.py,target=/build/contract/__init__.py \
    --mount=type=bind,source=contract/errors.py,target=/build/contract/errors.py \
    --mount=type=bind,source=model/__init__.py,target=/build/model/__init__.py \
    --mount=type=bind,source=model/_compiler.py,target=/build/model/_compiler.py \
    --mount=type=bind,source=model/_stand_in.py,target=/build/model/_stand_in.py \
    --mount=type=bind,source=model/_torchvision.py,target=/build/model/_torchvision.py \
    --mount=type=bind,source=model/pretrained.py,target=/build/model/pretrained.py \
    PYTHONPATH=/build PYTHONDONTWRITEBYTECODE=1 /opt/venv/bin/python /build/bake_pretrained.py \
        --target /opt/kennel/pretrained --files /build/files ${PRETRAINED}

# --- Our code, compiled ----------------------------------------------------------------------------------------------
FROM base AS code
COPY contract /opt/kennel/contract
COPY model /opt/kennel/model
COPY monitor /opt/kennel/monitor
COPY reports /opt/kennel/reports
COPY tuning /opt/kennel/tuning
COPY train /opt/kennel/train
COPY serve /opt/kennel/serve
COPY docker/entrypoint.sh /opt/kennel/entrypoint.sh
# unchecked-hash: the compiled files hold whatever the sources' times, so a copy or a mount can't make them stale.
RUN find /opt/kennel -name __pycache__ -prune -exec rm -rf {} + \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/kennel \
    && chmod -R u=rwX,go=rX /opt/kennel && chmod 755 /opt/kennel/entrypoint.sh

# --- What NVIDIA's container runtime reads ---------------------------------------------------------------------------
FROM base AS runtime-cuda
# NVIDIA_REQUIRE_CUDA is deliberately far below 13.0. A requirement that the host's driver fails keeps the container
# from starting at all, with a runtime error that no user of SageMaker gets to see; then neither `serve` on the CPU nor
# the sentence in which `train` names the driver found, the driver needed and the way out could ever appear. It is set
# rather than left out so that a CUDA_VERSION that somebody adds is not taken as the requirement instead.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_REQUIRE_CUDA=cuda>=11.0
# docker/install.sh fails the build when torch was built for another one.
LABEL ai.kennel.cuda=13.0

FROM base AS runtime-cpu
ENV NVIDIA_VISIBLE_DEVICES=void
LABEL ai.kennel.cuda=none

# --- The image -------------------------------------------------------------------------------------------------------
FROM runtime-${TORCH} AS image
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/kennel \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KENNEL_PRETRAINED_DIR=/opt/kennel/pretrained \
    # A user id without an entry in /etc/passwd has / as home: caches go where a read-only root has its tmpfs.
    XDG_CACHE_HOME=/tmp/.cache \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor

# Most stable first: a change of our code pushes and pulls kilobytes.
COPY --from=builder /layers/cuda/ /
COPY --from=builder /layers/torch/ /
COPY --from=builder /layers/packages/ /
COPY --from=pretrained /opt/kennel/pretrained /opt/kennel/pretrained
COPY --from=code /opt/kennel /opt/kennel

ARG BASE_IMAGE
ARG PRETRAINED=resnet18
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title=kennel \
      org.opencontainers.image.description="Trains and serves an image classifier by SageMaker's container contract" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      ai.kennel.pretrained="${PRETRAINED}"

WORKDIR /opt/kennel
EXPOSE 8080
# Exec form: the shell form would keep SIGTERM from train and serve.
ENTRYPOINT ["/opt/kennel/entrypoint.sh"]
