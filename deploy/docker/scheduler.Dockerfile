# The scheduler, and `scheduler migrate`. Build from the repository root: docker build -f deploy/docker/scheduler.Dockerfile .
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY . .
ENV GOWORK=off CGO_ENABLED=0
RUN cd services/scheduler && go build -trimpath -o /out/scheduler .

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/scheduler /usr/local/bin/scheduler
EXPOSE 8084 9084
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/scheduler"]
