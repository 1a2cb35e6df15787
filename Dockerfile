# A container image with nothing but the program and the certificates of public authorities.
#
#   docker build -t melo .
#   docker run --rm --read-only --cap-drop ALL --network none melo doctor
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges -v "$PWD/adapters:/adapters:ro" \
#       -p 127.0.0.1:8080:8080 melo serve --base embedded --adapters /adapters --listen 0.0.0.0:8080 --grpc-listen off --insecure
#
# --insecure is what lets the server listen beyond its own network namespace without TLS; the port is published to
# this machine alone. For others to reach it, give it --tls-cert, --tls-key and --tokens instead.
#
# The program runs as a user without a name, needs no shell and no file that can be written: what it keeps between
# runs goes into /cache, if a volume is mounted there, and is not kept otherwise.
# tools/image/check.sh runs what does not need a container engine of this.

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG REVISION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.builtFrom=$REVISION" -o /melo ./cmd/melo
RUN go run ./tools/licences > /THIRD_PARTY_LICENCES.txt

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/LICENSE /LICENSE
COPY --from=build /THIRD_PARTY_LICENCES.txt /THIRD_PARTY_LICENCES.txt
COPY --from=build /melo /melo
ENV HOME=/ XDG_CACHE_HOME=/cache SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/melo"]
CMD ["help"]
