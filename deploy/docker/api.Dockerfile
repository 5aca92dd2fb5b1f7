# The REST API. Build from the repository root: docker build -f deploy/docker/api.Dockerfile .
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY . .
ENV GOWORK=off CGO_ENABLED=0
RUN cd services/api && go build -trimpath -o /out/api .

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/api /usr/local/bin/api
EXPOSE 8083 9082
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/api"]
