# syntax=docker/dockerfile:1
#
#   docker build -t spancast .                      static, on distroless
#   docker build -t spancast:debian --target debian .   on Debian, with its libzmq
#   docker buildx build --platform linux/amd64,linux/arm64 .
#
# Every step is a script of deploy/docker that runs on plain Debian as well, where a
# test runs them. Go and C compile across architectures: nothing is emulated.

ARG GO_VERSION=1.26
ARG DEBIAN=bookworm

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-${DEBIAN} AS build
ARG TARGETARCH
ENV LIBZMQ_VERSION=4.3.4-6
WORKDIR /src
RUN --mount=type=bind,source=deploy/docker,target=/docker /docker/packages build "$TARGETARCH"
RUN --mount=type=bind,source=deploy/docker,target=/docker /docker/libzmq /opt/zmq "$TARGETARCH"
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    deploy/docker/binary /opt/zmq /out/spancast "$TARGETARCH"
RUN deploy/docker/sbom "$TARGETARCH" > /out/c-libraries.cdx.json

# Debian's libzmq, for whoever wants Debian's security updates to reach it.
FROM golang:${GO_VERSION}-${DEBIAN} AS build-debian
WORKDIR /src
RUN --mount=type=bind,source=deploy/docker,target=/docker /docker/packages build-debian
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -tags grpcnotrace -pgo=cmd/spancast/serve.pgo -trimpath -buildvcs=false -ldflags '-s -w' -o /out/spancast ./cmd/spancast

FROM debian:${DEBIAN}-slim AS debian
RUN --mount=type=bind,source=deploy/docker,target=/docker /docker/packages run
COPY --from=build-debian /out/spancast /usr/local/bin/spancast
USER 65532:65532
EXPOSE 5556 5557 8080
ENTRYPOINT ["/usr/local/bin/spancast"]
CMD ["serve"]

# The default: nothing but the binary, CA certificates and time zones.
FROM gcr.io/distroless/static-debian12:nonroot AS static
COPY --from=build /out/spancast /spancast
COPY --from=build /out/c-libraries.cdx.json /usr/share/doc/spancast/
COPY LICENSE /usr/share/doc/spancast/
USER 65532:65532
EXPOSE 5556 5557 8080
ENTRYPOINT ["/spancast"]
CMD ["serve"]
