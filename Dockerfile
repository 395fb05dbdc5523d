# The command-line tool, which is also the agent: `docker build --tag redis-ring .`
# The oldest Rust that the package promises to build with.
FROM rust:1.88.0-slim-bookworm AS build
WORKDIR /build
COPY . .
# The binary is copied out of the cache, which is no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --features cli,tls --bin redis-ring \
    && cp target/release/redis-ring /usr/local/bin/redis-ring

FROM debian:12.11-slim
# The system's authorities, for servers that speak TLS with a public certificate.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/redis-ring /usr/local/bin/redis-ring
USER nobody
ENTRYPOINT ["redis-ring"]
CMD ["--help"]
