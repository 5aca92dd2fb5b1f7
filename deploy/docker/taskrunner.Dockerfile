# The task runner, the only image with C code (librdkafka, linked in). Build from the repository root:
# docker build -f deploy/docker/taskrunner.Dockerfile .
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY . .
ENV GOWORK=off CGO_ENABLED=1
RUN cd services/taskrunner && go build -trimpath -o /out/taskrunner .

FROM gcr.io/distroless/base-debian12:nonroot
COPY --from=build /out/taskrunner /usr/local/bin/taskrunner
EXPOSE 9083
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/taskrunner"]
